//! Clients that ask for more than their share: what the others wait for meanwhile, and what memory
//! the server takes.
//!
//! Figures of the full tier, judged as the issue of each fault wants them; `THRONG_BIN` names the
//! program to measure, so that two builds can be compared:
//!
//! ```text
//! THRONG_BIN=/path/to/throng cargo test --profile quick --test load overload -- --ignored
//! ```
//!
//! What CI runs of the same faults is counted in `turns` and `bounds`.

mod budget;
mod churn;
mod crowd;
mod flood;
mod mail;
mod peer;
mod requests;
mod room;
