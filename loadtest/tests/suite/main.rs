//! The loader as a person uses it: its program, against the real server and against one that
//! misbehaves.

#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

mod abuse;
mod foreign;
mod honesty;
mod scenarios;
mod slow;
mod storm;
mod support;
mod usage;
