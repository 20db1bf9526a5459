//! What is measured: each scenario is what its connections do, and in which order they are told to.

pub(crate) mod abuse;
pub(crate) mod broadcast;
pub(crate) mod chat;
pub(crate) mod churn;
pub(crate) mod connect;
pub(crate) mod echo;
pub(crate) mod pings;
pub(crate) mod schedule;
pub(crate) mod slow;
pub(crate) mod soak;
mod stamped;
pub(crate) mod storm;
