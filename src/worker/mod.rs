//! One thread: a driver, its connections, its share of the hub, timers and a mailbox.
//!
//! Bytes enter a connection in `ingest` and leave it in `flush`; everything between only gathers
//! effects. A worker never blocks but in its driver's wait, and takes no lock but that of a few of
//! all rooms where one of them opens or closes. Every loop of a turn pays the `budget`.

mod answer;
mod budget;
mod clock;
mod cohorts;
mod core;
mod deliver;
mod doorbell;
mod ending;
mod flush;
mod goodbye;
mod heartbeat;
mod held;
mod ingest;
mod life;
mod mailbox;
mod out;
mod parked;
mod pongs;
mod progress;
mod shedding;
mod stash;
mod table;
mod timers;
mod trim;
mod unfinished;
mod visit;
mod waiters;
mod wakes;

#[cfg(test)]
mod deliver_tests;

/// What [`doorbell`] and [`waiters`] are built on; a test builds them on loom's.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

pub use self::core::Shared;
pub use doorbell::Doorbell;
pub use mailbox::{Address, Envelope, Mail, Posted, mailboxes, mailboxes_and_control};
pub use waiters::Waiters;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::budget::Phase;
use self::core::{Core, Parts};
use self::ingest::After;
use self::life::Question;
use crate::driver::{Completion, Driver, Listener, ListenerId};
use crate::limits::ACCEPT_COST;
use crate::protocol::{Builtin, Protocols};
use crate::stats::Counters;

/// See the module.
#[derive(Debug)]
pub struct Worker<D: Driver, L: Protocols = Builtin> {
    driver: D,
    core: Core<D::Waker, L>,
    listeners: Vec<ListenerId>,
    /// Before this moment time brings nothing of what was known when the last wait began.
    look_at: Instant,
}

impl<D: Driver, L: Protocols> Worker<D, L> {
    /// A worker that may hold `connections_max` connections.
    #[must_use]
    pub fn new(
        driver: D,
        shared: Arc<Shared<L>>,
        counters: Arc<Counters>,
        mail: Mail<D::Waker>,
        connections_max: usize,
    ) -> Self {
        let now = driver.now();
        let core = Core::new(shared, counters, mail, connections_max, now);
        Self { driver, core, listeners: Vec::new(), look_at: now }
    }

    /// Accepts from a listener.
    ///
    /// # Errors
    ///
    /// If the driver cannot.
    pub fn listen(&mut self, listener: Listener) -> io::Result<()> {
        self.listeners.push(self.driver.listen(listener)?);
        Ok(())
    }

    /// Serves until the server stops and the last connection is gone.
    ///
    /// # Errors
    ///
    /// If the kernel's interface fails.
    pub fn run(&mut self) -> io::Result<()> {
        let result = self.serve();
        // Whatever the reason, other workers must not wait for this one.
        let wakes = self.core.parts.mail.close();
        self.core.parts.counters.wakes.add(wakes);
        result
    }

    fn serve(&mut self) -> io::Result<()> {
        while !self.is_drained() {
            self.turn()?;
        }
        Ok(())
    }

    /// One turn of the loop.
    ///
    /// # Errors
    ///
    /// If the kernel's interface fails.
    pub fn turn(&mut self) -> io::Result<()> {
        self.sleep()?;
        self.core.resume_held();
        self.core.parts.budget.enter(Phase::Input);
        self.complete();
        self.core.parts.budget.enter(Phase::Timers);
        self.core.weed();
        if self.core.parts.clock.now >= self.look_at {
            self.core.expire();
            self.judge();
        }
        self.shed();
        self.core.parts.budget.enter(Phase::Delivery);
        self.core.read_mail();
        self.core.send_questions();
        self.core.deliver();
        // Behind the deliveries: what was said before the server was stopped comes first.
        self.core.parts.budget.enter(Phase::Goodbye);
        self.say_goodbye();
        self.flush();
        self.trim();
        self.core.parts.counters.turns.add(1);
        Ok(())
    }

    /// Whether the server stops and no connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.core.parts.stopping.is_some() && self.core.table.len() == 0
    }

    /// How long there is nothing to do unless something happens. Whoever leaves mail from here on
    /// wakes the worker; what was left before is seen here.
    pub fn time_to_sleep(&mut self) -> Duration {
        let now = self.driver.now();
        let timeout = self.core.idle_for(now);
        self.look_at = now + timeout;
        let may_sleep = self.core.parts.mail.may_sleep() && !self.core.is_stop_unseen();
        if may_sleep { timeout } else { Duration::ZERO }
    }

    /// What the last turn has cost, and what it might: for tests of that bound.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.core.parts.budget.work()
    }

    /// Its driver, for tests that decide when it wakes.
    pub fn driver(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Its mail, for tests that carry it out of order.
    pub fn mail(&mut self) -> &mut Mail<D::Waker> {
        &mut self.core.parts.mail
    }

    /// What connections that have gone may have left: topics, bytes that are not delivered, open
    /// questions, pongs that wait. For tests that nothing is.
    #[must_use]
    pub fn leftovers(&self) -> [usize; 4] {
        let Parts { hub, said, pongs, .. } = &self.core.parts;
        [hub.rooms(), hub.undelivered(), said.asks.connections(), pongs.waiting.len()]
    }

    fn sleep(&mut self) -> io::Result<()> {
        let timeout = self.time_to_sleep();
        self.driver.wait(timeout)?;
        self.core.parts.mail.wake_up();
        let now = self.driver.now();
        if self.core.parts.clock.is_next_second(now) {
            self.core.parts.clock.set_second(now, self.driver.unix_time());
        }
        self.core.begin_turn(now);
        Ok(())
    }

    /// Ends those whose deadline has passed, unless what they sent is still to be read, or what
    /// they are sent is being taken.
    fn judge(&mut self) {
        while let Some((question, conn)) = self.core.parts.life.questions.pop() {
            match question {
                Question::Taken => {
                    let taken = self.driver.taken(conn);
                    self.core.look_at_send(conn, taken);
                }
                Question::Silence if self.driver.has_unread(conn) => self.core.reprieve(conn),
                Question::Silence => self.core.condemn(conn),
                Question::Progress => {
                    let has_unread = self.driver.has_unread(conn);
                    self.core.judge_unfinished(conn, has_unread);
                }
            }
        }
    }

    /// Alone in its frame: what the rest of a turn keeps at hand would not be in registers here.
    #[inline(never)]
    fn complete(&mut self) {
        while let Some(completion) = self.driver.next() {
            match completion {
                Completion::Accepted(conn, _) => {
                    self.core.parts.budget.pay(ACCEPT_COST);
                    self.core.accepted(conn);
                }
                Completion::Received(conn, bytes) => match self.core.received(conn, bytes) {
                    After::Nothing => {}
                    After::Pause => self.driver.pause(conn),
                    After::Answer => self.flush_one(conn),
                    After::Reply(part) => self.reply(conn, part),
                },
                Completion::Sent(conn, bytes) => {
                    self.core.sent(conn, bytes);
                    continue;
                }
                Completion::Ended(conn, end) => self.core.ended(conn, end),
                Completion::Closed(conn) => self.core.closed(conn),
                Completion::Released(..) => unreachable!("nothing is released yet"),
                Completion::Woken => {}
            }
            if self.core.parts.budget.is_empty() {
                return;
            }
        }
    }
}
