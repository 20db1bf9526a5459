//! Many connections at once: what holds under load, what it costs, and what it leaves behind.
//!
//! Each test has the machine to itself. What CI runs is judged by counts, bytes and order, which a
//! loud host cannot move: a time there only says that something hangs. What needs the clock, or
//! minutes, is of the full tier: it does nothing unless `THRONG_TEST_FULL=1`.
//!
//! Where `THRONG_BIN` names another program, servers that are processes of their own are that one.

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

/// As `on_both`, for the full tier.
macro_rules! on_both_in_full {
    ($($name:ident),+ $(,)?) => {
        mod full {
            mod epoll {
                $(#[test] fn $name() {
                    let _alone = crate::support::alone();
                    if crate::support::is_full_tier() {
                        super::super::$name(throng::config::Backend::Epoll);
                    }
                })+
            }

            mod io_uring {
                $(#[test] fn $name() {
                    let _alone = crate::support::alone();
                    if crate::support::is_full_tier() && crate::support::has_io_uring() {
                        super::super::$name(throng::config::Backend::IoUring);
                    }
                })+
            }
        }
    };
}

mod abuse;
mod bounds;
mod churn;
mod counters;
mod echo;
mod idle_memory;
mod interest;
mod loader;
mod mailbox;
mod overload;
mod rooms;
mod scrape;
mod sigterm;
mod slow;
mod slow_crowd;
mod storm;
mod support;
mod syscalls;
mod turns;
mod wakers;
