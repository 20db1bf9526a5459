//! What must hold when nothing moves any more.

use throng::limits::PARKED_BYTES_MAX;
use throng::worker::Worker;

use super::World;
use crate::client::{Client, Manner};
use crate::script::Actor;
use crate::visitor::Visitor;

/// What is kept beside the bytes of all messages of a client counts too.
const KEPT_BESIDE: usize = 40 * 24;

impl World {
    pub(super) fn check_deliveries(&self) -> Result<(), String> {
        // Who is not open yet was slow itself to say what it wants.
        let is_ended = |c: &&Client| c.is_polite() && c.is_open && c.is_ended();
        let ended = self.clients.iter().filter(is_ended).count() as u64;
        let slow = self.counts().closed_slow;
        if ended > slow {
            return Err(format!("{ended} polite clients were ended, {slow} for slowness"));
        }
        self.check_dropping()?;
        for (receiver, obliged) in self.clients.iter().zip(&self.obliged) {
            let Some(obliged) = obliged else { continue };
            if let Some(actor) = &receiver.actor {
                self.check_actor(receiver, actor)?;
                continue;
            }
            if receiver.manner != Manner::Polite || receiver.is_ended() {
                self.check_end(receiver)?;
                continue;
            }
            if !receiver.has_said_all() {
                return Err(format!("client {} is stuck", receiver.id));
            }
            if !receiver.has_all_pongs() {
                return Err(format!("client {} misses a pong", receiver.id));
            }
            for sender in &self.clients {
                let is_mine = sender.id == receiver.id || receiver.room.is_some();
                if !is_mine || sender.room != receiver.room || sender.actor.is_some() {
                    continue;
                }
                let has_no_echo = receiver.reading.has_no_echo && sender.id == receiver.id;
                if receiver.reading.is_lossy || has_no_echo {
                    continue;
                }
                let from = obliged.get(sender.id as usize).copied().unwrap_or(0);
                check_pair(receiver, sender, from)?;
            }
        }
        Ok(())
    }

    pub(super) fn check_visitors(&self) -> Result<(), String> {
        let is_kept_out =
            |it: &&Client| it.manner == Manner::Polite && !it.is_open && !it.is_ended();
        if let Some(client) = self.clients.iter().find(is_kept_out) {
            return Err(format!("client {} was never let in", client.id));
        }
        let is_sad = |visitor: &&Visitor| !visitor.is_content() && !visitor.is_ended();
        match self.visitors.iter().find(is_sad) {
            Some(visitor) => Err(format!("{} answers only", visitor.answers)),
            None => Ok(()),
        }
    }

    /// A polite client may be ended only where deliveries waited too long for it. It is told so, if
    /// it takes that.
    fn check_end(&self, receiver: &Client) -> Result<(), String> {
        let Client { id, room, manner, close_code, was_too_slow, .. } = receiver;
        let is_told_else = close_code.is_some() && !was_too_slow;
        let may_be_ended = room.is_some() && !receiver.reading.is_lossy && !is_told_else;
        if *manner == Manner::Polite && !may_be_ended {
            return Err(format!("client {id} was ended for no reason: {close_code:?}"));
        }
        Ok(())
    }

    fn check_actor(&self, client: &Client, actor: &Actor) -> Result<(), String> {
        if !client.is_here() {
            let is_told_else = client.close_code.is_some() && !client.was_too_slow;
            let is_strange = client.is_polite() && client.is_ended() && is_told_else;
            return if is_strange { Err(format!("actor {} was ended", client.id)) } else { Ok(()) };
        }
        if !client.has_said_all() {
            return Err(format!("actor {} is stuck", client.id));
        }
        // Of who is parked no more is read when so much is kept.
        let waiting = client.bytes_behind(actor.handled());
        if !client.has_all_pongs() && waiting + KEPT_BESIDE < PARKED_BYTES_MAX {
            return Err(format!("actor {} misses a pong", client.id));
        }
        actor.check_at_rest(client.sent)
    }

    /// Whoever is here has all that it has asked for, and stale answers are counted as such.
    pub(super) fn check_answers(&self) -> Result<(), String> {
        for client in self.clients.iter().filter(|client| client.is_here()) {
            let Some(actor) = &client.actor else { continue };
            actor
                .check_done(|number, outcome| self.outside.is_known(client.id, number, outcome))?;
        }
        let late = self.counts().answers_late;
        if late < self.outside.stale {
            return Err(format!("{late} answers are late, {} were", self.outside.stale));
        }
        Ok(())
    }

    pub(super) fn check_nothing_is_left(&self) -> Result<(), String> {
        let left = self.workers.iter().map(Worker::leftovers).find(|left| *left != [0; 4]);
        left.map_or(Ok(()), |left| Err(format!("a worker has something left: {left:?}")))
    }
}

/// Each message once and in order was checked as they came; here: that none is missing.
fn check_pair(receiver: &Client, sender: &Client, from: u32) -> Result<(), String> {
    let (next, first) = match receiver.heard.get(&sender.id) {
        Some((next, first)) => (*next, *first),
        None => (from, from),
    };
    let names = format!("client {} of {}", receiver.id, sender.id);
    if first > from {
        return Err(format!("{names}: begins with {first}, but {from} was sent after its 101"));
    }
    if sender.is_heard_to_the_end() && next < sender.sent {
        return Err(format!("{names}: heard up to {next} of {}", sender.sent));
    }
    Ok(())
}
