//! What single connections and addresses may take, measured in arrays by slot beside the table:
//! they are made when an option first needs them, and the record has no place for any of it.
//! It says who is over a limit, and never closes a connection itself.

pub(crate) mod clients;

pub(crate) use clients::Clients;
pub use clients::{Client, ClientImage};

use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::stats::Refusal;
use crate::worker::core::Core;

/// Counts the client of a connection, once that is known; or says over which limit it is.
pub(crate) fn admit<W: Wake, L: Protocols>(_: &mut Core<W, L>, _: ConnId) -> Option<Refusal> {
    None
}
