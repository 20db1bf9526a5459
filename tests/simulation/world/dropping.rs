//! Where something is dropped for who does not keep up: the newest has come, and all is counted.

use super::{REST_BETWEEN, World};
use crate::client::{Client, Manner, ROOMS};
use crate::script::TOPICS;

impl World {
    /// Somebody falls asleep or, rarely, wakes up.
    pub(super) fn nap(&mut self) {
        if self.policies.is_none() || self.clients.is_empty() {
            return;
        }
        let at = self.rng.below(self.clients.len());
        let is_asleep = self.clients[at].reading.is_asleep;
        if self.rng.one_in(if is_asleep { 60 } else { 20 }) {
            self.clients[at].reading.is_asleep = !is_asleep;
        }
    }

    /// Who sleeps wakes up when all others have said what they had to say.
    pub(super) fn wake_all(&mut self) -> Result<(), String> {
        if self.policies.is_some() {
            self.come_to_rest(REST_BETWEEN)?;
            self.clients.iter_mut().for_each(|client| client.reading.is_asleep = false);
        }
        Ok(())
    }

    pub(super) fn check_dropping(&self) -> Result<(), String> {
        let Some(policies) = &self.policies else { return Ok(()) };
        let slow = self.counts().closed_slow;
        if slow > 0 && policies.close_nobody() {
            return Err(format!("{slow} were too slow where all may be dropped"));
        }
        self.check_counted()?;
        for worker in 0..self.workers.len() {
            for room in ROOMS {
                self.check_newest(worker, room)?;
            }
            for topic in 0..TOPICS {
                let last = |it: &Client| it.actor.as_ref()?.last_of(topic);
                let came_after = |it: &Client, message| {
                    it.actor.as_ref().is_some_and(|it| it.came_after(topic, message))
                };
                let agreed = self.check_agreed(worker, last, came_after);
                agreed.map_err(|what| format!("topic {topic}, {what}"))?;
            }
        }
        Ok(())
    }

    /// What was put into a queue has come or was dropped. Of what waited for those who have ended
    /// nobody knows.
    fn check_counted(&self) -> Result<(), String> {
        let counts = self.counts();
        let got: u64 = self.clients.iter().map(|it| it.reading.got + it.reading.dropped).sum();
        let known = got + counts.dropped_oldest + counts.dropped_latest;
        let is_whole = |it: &Client| {
            let has_had_all = it.close_code.is_some() || !it.is_ended();
            it.manner == Manner::Polite && has_had_all && !it.was_too_slow
        };
        let delivered = counts.messages_delivered;
        let is_exact = self.clients.iter().all(is_whole);
        if known > delivered || is_exact && known < delivered {
            return Err(format!("{delivered} messages were delivered, {known} came or dropped"));
        }
        Ok(())
    }

    /// The last message of a room on a worker has come to all members that are there: it is the
    /// last one of its sender, and the same for all but its sender where that gets none of its own.
    fn check_newest(&self, worker: usize, room: u32) -> Result<(), String> {
        let is_member = |(at, it): &(usize, &Client)| {
            self.homes[*at] == worker && it.room == Some(room) && it.reading.is_lossy
        };
        let here = self.clients.iter().enumerate().filter(is_member);
        let here: Vec<(usize, &Client)> = here.filter(|(_, it)| it.is_here()).collect();
        for (at, member) in &here {
            let Some((sender, number)) = member.reading.last else {
                self.check_had_nothing(*at, member)?;
                continue;
            };
            let sender = &self.clients[sender as usize];
            if sender.is_heard_to_the_end() && number + 1 != sender.sent {
                let names = format!("client {} of {}", member.id, sender.id);
                return Err(format!("{names}: the newest is {number} of {}", sender.sent));
            }
        }
        let last = |it: &Client| it.reading.last.filter(|_| it.room == Some(room));
        let agreed = self.check_agreed(worker, last, |_, _| false);
        agreed.map_err(|what| format!("room {room}, {what}"))
    }

    /// The last message is the same for all on a worker who have had any, but for its sender, which
    /// may get none of its own, and for who came when it was published but not delivered: in a
    /// batch what is published on the worker is delivered before it.
    fn check_agreed(
        &self,
        worker: usize,
        last: impl Fn(&Client) -> Option<(u32, u32)>,
        came_after: impl Fn(&Client, (u32, u32)) -> bool,
    ) -> Result<(), String> {
        let here = self.clients.iter().zip(&self.homes);
        let here = here.filter(|(it, home)| **home == worker && it.is_here());
        let lasts: Vec<_> = here.filter_map(|(it, _)| Some((it, last(it)?))).collect();
        let is_for_all = |(_, last): &(&Client, (u32, u32))| {
            let is_spared = |it: &Client| it.id == last.0 || came_after(it, *last);
            let is_fine = |it: &Client, other| other == *last || is_spared(it);
            lasts.iter().all(|(it, other)| is_fine(it, *other))
        };
        if lasts.is_empty() || lasts.iter().any(is_for_all) {
            return Ok(());
        }
        let lasts: Vec<_> = lasts.iter().map(|(it, last)| (it.id, last)).collect();
        Err(format!("the newest on worker {worker}: {lasts:?}"))
    }

    fn check_had_nothing(&self, at: usize, member: &Client) -> Result<(), String> {
        let Some(obliged) = &self.obliged[at] else { return Ok(()) };
        let has_said = |sender: &&Client| {
            let from = obliged.get(sender.id as usize).copied().unwrap_or(0);
            let is_for_it = !(member.reading.has_no_echo && sender.id == member.id);
            let is_there = sender.room == member.room && sender.actor.is_none();
            is_there && is_for_it && sender.is_heard_to_the_end() && sender.sent > from
        };
        match self.clients.iter().find(has_said) {
            Some(it) => Err(format!("client {}: the newest, of {}, is missing", member.id, it.id)),
            None => Ok(()),
        }
    }
}
