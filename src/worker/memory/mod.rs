//! What keeps memory small: who is ended where there is too little of it, and what is given back
//! when it is not needed. Both never look at more than a part of the table in one turn.

pub(crate) mod shedding;
pub(crate) mod trim;

use shedding::Shedding;
use trim::Trimming;

/// What keeps memory small.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) shedding: Shedding,
    pub(crate) trimming: Trimming,
}
