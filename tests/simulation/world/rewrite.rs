//! Connections that are written out and read back between two turns.

use throng::driver::sim::{Rng, SimDriver};
use throng::protocol::Protocols;
use throng::worker::{Image, NotNow, Worker};

use crate::faults::Fault;
use crate::persist::Part;

/// Whose, and what is lost of them on purpose.
#[derive(Debug, Default)]
pub(crate) struct Rewrites {
    who: Who,
    loses: Option<Part>,
}

#[derive(Debug, Default)]
enum Who {
    #[default]
    Nobody,
    All,
    /// Of each turn some, and none of many turns.
    Some(Rng),
}

/// An image in so many loses what is to be lost.
const LOST_ONE_IN: usize = 4;

impl Rewrites {
    pub(crate) fn of(seed: u64, fault: Fault) -> Self {
        let Fault::LostPart(part) = fault else { return Self::default() };
        Self { loses: Some(part), ..Self::some(seed) }
    }

    pub(crate) fn all() -> Self {
        Self { who: Who::All, loses: None }
    }

    pub(crate) fn some(seed: u64) -> Self {
        Self { who: Who::Some(Rng::new(seed ^ 0xface)), loses: None }
    }

    /// All, each time without that.
    pub(crate) fn all_without(part: Part) -> Self {
        Self { who: Who::All, loses: Some(part) }
    }

    /// As between two turns of a worker.
    pub(crate) fn rewrite<L: Protocols>(
        &mut self,
        worker: &mut Worker<SimDriver, L>,
    ) -> Result<(), String> {
        if matches!(self.who, Who::Nobody) {
            return Ok(());
        }
        let mut images = Vec::new();
        for conn in worker.connections() {
            if !self.is_chosen() {
                continue;
            }
            match worker.write_out(conn) {
                Ok(_) if worker.knows(conn) => {
                    return Err(format!("of {conn:?} something is left"));
                }
                Ok(image) => images.push((conn, image)),
                Err(NotNow::Gone | NotNow::Asking) => {}
            }
        }
        for (conn, mut bytes) in images {
            if let Some(part) = self.loses
                && self.is_lost()
            {
                let mut image = Image::from_bytes(&bytes).map_err(|error| error.to_string())?;
                part.take_out_of(&mut image);
                bytes = image.to_bytes();
            }
            worker.read_back(conn, &bytes).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn is_chosen(&mut self) -> bool {
        match &mut self.who {
            Who::Nobody => false,
            Who::All => true,
            Who::Some(rng) => rng.one_in(3),
        }
    }

    fn is_lost(&mut self) -> bool {
        match &mut self.who {
            Who::Nobody | Who::All => true,
            Who::Some(rng) => rng.one_in(LOST_ONE_IN),
        }
    }
}
