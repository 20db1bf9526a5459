//! `scripts/tune.sh`: every value that it touches goes there and comes back.
//!
//! On a directory of files that stands for /proc/sys, and on this kernel: the keys of the network
//! in a network namespace of the test's own, the others on the host, where they are raised for a
//! moment and put back whatever happens. What the script installs goes below a folder of the test.
//! The real ones need root; without it they say so and pass, unless `THRONG_TEST_REQUIRE_ALL=1`.

#![allow(clippy::disallowed_methods, reason = "these tests live in real time")]

mod conf;
mod files;
mod kernel;
mod place;
