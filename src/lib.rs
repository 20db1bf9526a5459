//! A WebSocket server for very many connections on one Linux machine.
//!
//! The modules stand on floors; each names only those below it (ARCHITECTURE.md has the map):
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`config`], [`limits`], [`id`], [`stats`] |
//! | 1 | [`wire`]: bytes to values and back |
//! | 2 | [`outgoing`]: bytes on their way out |
//! | 3 | [`http`], [`websocket`], [`hub`], [`driver`]: siblings that never name each other |
//! | 4 | [`protocol`]: what is said on connections |
//! | 5 | [`worker`]: one thread with all of these |
//! | 7 | [`server`]: threads, listeners, limits, shutdown |
//! | 8 | [`doctor`]: what this host can hold |
//!
//! A program that speaks protocols of its own writes a list of them ([`protocols!`]) and starts it
//! by [`server::Server::start_with`]; this is the server as it is:
//!
//! ```no_run
//! let config = throng::config::Config::default();
//! let server = throng::server::Server::start(config).expect("the port is free");
//! server.stop();
//! server.join().expect("no worker fails");
//! ```

#![deny(unsafe_code)]

/// What README.md shows in Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod config;
pub mod doctor;
pub mod driver;
pub mod http;
pub mod hub;
pub mod id;
pub mod limits;
pub mod outgoing;
pub mod protocol;
pub mod server;
pub mod stats;
pub mod websocket;
pub mod wire;
pub mod worker;
