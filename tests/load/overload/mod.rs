//! Clients that ask for more than their share: what the others wait for meanwhile, and what memory
//! the server takes.
//!
//! Figures of the full tier, judged as the issue of each fault wants them; `THRONG_BIN` names the
//! program to measure, so that two builds can be compared:
//!
//! ```text
//! THRONG_TEST_FULL=1 THRONG_BIN=/path/to/throng cargo test --profile quick --test load overload
//! ```
//!
//! What CI runs of the same faults is counted in `turns` and `bounds`.

mod budget;
mod churn;
pub(crate) mod crowd;
pub(crate) mod flood;
mod mail;
pub(crate) mod peer;
mod requests;
mod room;
