//! Bytes to values and back: frames, masks, UTF-8, close codes, compression, the HTTP head, PROXY
//! headers.
//!
//! Everything here is a function of its arguments. It never does I/O, never reads a clock and never
//! keeps anything about a connection.

pub mod accept;
pub mod buffer;
pub mod close;
pub mod deflate;
pub mod encoded;
pub mod extension;
pub mod frame;
pub mod head;
pub mod lane;
pub mod mask;
pub mod proxy;
pub mod utf8;
#[allow(unsafe_code, reason = "the compiler does not know which processor it will be")]
mod vectors;

pub use close::{CloseCode, Violation};
pub use encoded::{Deflated, Encoded, Form};
pub use frame::{Header, Kind, Opcode};
pub use lane::Lane;
