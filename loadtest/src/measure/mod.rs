//! What is measured, and how it is read from the kernel.

pub(crate) mod histogram;
pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod sampler;
pub(crate) mod sequence;
pub(crate) mod window;
