//! What is measured: each scenario is what its connections do, and in which order they are told to.

pub(crate) mod broadcast;
pub(crate) mod connect;
pub(crate) mod echo;
pub(crate) mod pings;
