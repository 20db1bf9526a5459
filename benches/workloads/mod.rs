//! What is measured: by the clock in `time`, by the instruction in `instructions`.
//!
//! A workload is made once, outside of the measurement, and is then one round, which may be
//! repeated any number of times: no round leaves behind what makes the next one dearer.

mod bytes;
mod prepared;
mod turns;
mod worker;

use std::fmt;

/// One round of a workload.
pub(crate) type Round = Box<dyn FnMut()>;

/// A workload by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What one round has so many of.
    pub(crate) unit: &'static str,
    pub(crate) units: u32,
    pub(crate) make: fn() -> Round,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.name, self.units, self.unit)
    }
}

/// All of them, in the order of the server's floors.
pub(crate) fn all() -> impl Iterator<Item = Case> {
    bytes::CASES.iter().chain(turns::CASES).copied()
}
