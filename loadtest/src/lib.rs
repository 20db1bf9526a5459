//! Measures WebSocket servers that hold very many connections.

#![deny(unsafe_code)]

pub mod floor;
pub mod html;
pub mod place;
pub mod softirq;
