//! Mail that is copied, lost, swapped or given to others than it is for.

use std::sync::Arc;

use throng::hub::Sealed;
use throng::id::WorkerId;
use throng::worker::{Envelope, Posted};

use super::World;
use crate::client::ROOMS;
use crate::faults::Fault;

/// Whose members are hidden, and who is no worker but takes part in topics.
const HIDDEN: WorkerId = WorkerId(1);
const OBSERVER: WorkerId = WorkerId(2);

/// Copies of mail that wait until nobody is left for whom they are.
const COPIES_MAX: usize = 20;

/// A copy of what a worker has had in its mailbox.
pub(super) struct Copied {
    worker: WorkerId,
    sealed: Sealed,
    /// All have left that it was for.
    is_former: bool,
}

impl World {
    pub(super) fn plant_fault(&mut self) -> Result<(), String> {
        match self.fault {
            Fault::LostWake => {
                self.asleep[1].inspect(|_| self.workers[1].mail().wake_up());
            }
            Fault::LateInterest => return self.hide_members(),
            Fault::SwappedMail | Fault::LostMail => self.spoil_mail(),
            Fault::None | Fault::FormerMail => self.repeat_mail(),
            _ => {}
        }
        Ok(())
    }

    /// Worker 0 has a turn while worker 1 seems to have no members. The observer keeps the topic
    /// alive, whoever leaves.
    fn hide_members(&mut self) -> Result<(), String> {
        let interest = Arc::clone(&self.shared.interest);
        for room in ROOMS.map(|room| room.to_string()) {
            if interest.find(&room).is_some_and(|(.., workers)| workers.contains(&HIDDEN)) {
                let (topic, _) = interest.join(&room, OBSERVER);
                interest.leave(&topic, HIDDEN);
                self.turn(0)?;
                interest.join(&room, HIDDEN);
                interest.leave(&topic, OBSERVER);
            }
        }
        Ok(())
    }

    fn spoil_mail(&mut self) {
        let [first, second] = [0, 1].map(|_| self.workers[1].mail().receive());
        self.workers[1].mail().call_waiting();
        let again = match self.fault {
            Fault::SwappedMail => [second, first],
            _ => [second, None],
        };
        for envelope in again.into_iter().flatten() {
            self.workers[0].mail().send(1, envelope, &mut Posted::default());
        }
    }

    /// Copies mail, and gives it to the worker again when those that it was for have left: whoever
    /// has come since is not to get it.
    fn repeat_mail(&mut self) {
        if self.outside.is_at_rest() {
            let worker = self.rng.below(self.workers.len());
            self.copy_mail(worker);
        }
        for Copied { worker, sealed, is_former } in &mut self.copies {
            let found = self.shared.interest.find(sealed.topic.name());
            *is_former |= found.is_none_or(|(.., workers)| !workers.contains(worker));
        }
        let is_former = |copied: &Copied| copied.is_former;
        if let Some(at) = self.copies.iter().position(is_former)
            && self.rng.one_in(3)
        {
            self.repeat(at);
        }
    }

    fn repeat(&mut self, at: usize) {
        let Copied { worker, sealed, .. } = &self.copies[at];
        let (worker, mut sealed) = (*worker, sealed.clone());
        if self.fault == Fault::FormerMail {
            let found = self.shared.interest.find(sealed.topic.name());
            let Some((topic, arrivals, _)) = found.filter(|(.., who)| who.contains(&worker)) else {
                return;
            };
            sealed = Sealed { topic, arrivals, since: sealed.since, frames: sealed.frames };
        }
        self.copies.swap_remove(at);
        self.pad.ledger().count("former mail");
        self.outside.repeat(worker.index(), sealed);
    }

    /// Empties a mailbox and fills it again with the same.
    fn copy_mail(&mut self, worker: usize) {
        let mail = self.workers[worker].mail();
        let all: Vec<Envelope> = std::iter::from_fn(|| mail.receive()).collect();
        for envelope in all {
            if let Envelope::Publish(sealed) = &envelope
                && self.copies.len() < COPIES_MAX
            {
                let (worker, sealed) = (WorkerId(worker as u16), sealed.clone());
                self.copies.push(Copied { worker, sealed, is_former: false });
            }
            self.outside.carry(worker, envelope);
        }
    }
}
