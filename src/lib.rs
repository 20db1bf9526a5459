//! A WebSocket server for very many connections on one Linux machine.
//!
//! The modules stand on floors; each names only those below it (ARCHITECTURE.md has the map):
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`config`], [`limits`], [`id`], [`stats`] |
//! | 1 | [`wire`]: bytes to values and back |
//! | 2 | [`http`], [`session`], [`hub`], [`driver`]: siblings that have never heard of each other |
//! | 3 | [`protocol`]: what clients find at which path |
//! | 4 | [`worker`]: one thread with all of these |
//! | 6 | [`server`]: threads, listeners, limits, shutdown |
//! | 7 | [`doctor`]: what this host can hold |
//!
//! ```no_run
//! let config = throng::config::Config::default();
//! let server = throng::server::Server::start(config).expect("the port is free");
//! server.stop();
//! server.join().expect("no worker fails");
//! ```

#![deny(unsafe_code)]

pub mod config;
pub mod doctor;
pub mod driver;
pub mod http;
pub mod hub;
pub mod id;
pub mod limits;
pub mod protocol;
pub mod server;
pub mod session;
pub mod stats;
pub mod wire;
pub mod worker;
