//! Many connections at once: what holds under load, what it costs, and what it leaves behind.
//!
//! Figures need a quiet machine, so these tests run one after the other: `cargo test --release
//! --test load`. Quick variants of the long ones run unless `THRONG_TEST_REQUIRE_ALL=1`.

#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

/// Makes a test for each backend of functions that take one; none runs beside another.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod epoll {
            $(#[test] fn $name() {
                let _alone = crate::support::alone();
                super::$name(throng::config::Backend::Epoll);
            })+
        }

        mod io_uring {
            $(#[test] fn $name() {
                let _alone = crate::support::alone();
                if crate::support::has_io_uring() {
                    super::$name(throng::config::Backend::IoUring);
                }
            })+
        }
    };
}

mod churn;
mod counters;
mod echo;
mod idle_memory;
mod mailbox;
mod rooms;
mod sigterm;
mod slow;
mod storm;
mod support;
mod syscalls;
mod wakers;
