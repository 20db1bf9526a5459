//! The operator's port of a server: whether it lives and takes clients, what it counts, who is
//! connected, and what the operator has it do.
//!
//! One ordinary thread, named `operator`, with a runtime of its own. It never holds a lock that a
//! worker takes, and it never waits for one: what it asks of workers goes by mail, and where the
//! mail is full the caller hears 503. So a slow or stuck operator's port never slows a client.
//!
//! | path | what it does |
//! |---|---|
//! | `/` | the dashboard, fed by `/events` |
//! | `/health`, `/ready` | whether the server lives, and whether it takes clients |
//! | `/metrics` | counts for Prometheus |
//! | `/api/...` | lists of connections and rooms, publishing, disconnecting |

#![deny(unsafe_code)]

mod access;
mod api;
mod ask;
mod bound;
mod dashboard;
mod error;
mod health;
mod held;
mod metrics;
mod options;
mod port;
mod publisher;
mod respond;
mod router;
mod sample;
mod serve;
mod state;

pub use bound::{Bound, Running, bind, bind_when_free, without_port};
pub use error::Error;
pub use metrics::metrics_page;
pub use options::Options;
