//! Memory of the server and of the kernel at one moment.

use super::kernel::KernelMemory;

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryState {
    pub(crate) connections: u64,
    /// Of the server; 0 if none is watched.
    pub(crate) server_bytes: u64,
    pub(crate) kernel: KernelMemory,
}
