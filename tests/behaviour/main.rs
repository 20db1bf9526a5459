//! What clients, operators and neighbours see of a server: its binary, over real sockets.
//!
//! Most tests run once for each backend: `cargo test --test behaviour io_uring` takes one of them.

#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

/// Makes a test for each backend of functions that take one.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod epoll {
            $(#[test] fn $name() {
                super::$name(throng::config::Backend::Epoll);
            })+
        }

        mod io_uring {
            $(#[test] fn $name() {
                if crate::support::has_io_uring() {
                    super::$name(throng::config::Backend::IoUring);
                }
            })+
        }
    };
}

mod activation;
mod addresses;
mod ages;
mod amplification;
mod backpressure;
mod captured;
mod clients;
mod close;
mod compression;
mod config;
mod containers;
mod counter;
mod doctor;
mod drain;
mod echo;
mod embedded;
mod embedders;
mod examples;
mod first_contact;
mod forbidden;
mod forwarded;
mod handshake;
mod heartbeat;
mod held_requests;
mod hosts;
mod in_use;
mod keepalive;
mod last_words;
mod limits;
mod listeners;
mod logging;
mod memory;
mod monitor;
mod operator;
mod options;
mod outside;
mod pace;
mod packaging;
mod pages;
mod peer;
mod per_ip;
mod pinning;
mod pipelining;
mod policies;
mod prometheus;
mod protocols;
mod proxies;
mod proxy;
mod publishing;
mod readiness;
mod readme;
mod reload;
mod requests;
mod responses;
mod restart;
mod room_events;
mod room_limits;
mod rooms;
mod scraped;
mod signals;
mod slow;
mod subscriptions;
mod support;
mod unit;
mod unix_paths;
mod variables;
mod violations;
mod watches;
mod workers;
