//! Measures WebSocket servers that hold very many connections.

#![deny(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a measurement lives in real time")]

pub mod floor;
pub mod html;
pub mod place;
pub mod softirq;
pub mod units;
