//! Memory of the server and of the kernel at one moment.

use super::kernel::KernelMemory;

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryState {
    pub(crate) connections: u64,
    /// Of the server; `None` if none is watched.
    pub(crate) server_bytes: Option<u64>,
    pub(crate) kernel: KernelMemory,
}
