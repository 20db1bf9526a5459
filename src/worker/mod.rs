//! One thread: a driver, its connections, its share of the hub, timers and a mailbox.
//!
//! Bytes enter a connection in `ingest` and leave it in `flush`; everything between only gathers
//! effects. A worker never blocks but in its driver's wait, and never takes a lock. Every loop of a
//! turn pays the `budget`.

mod answer;
mod budget;
mod cohorts;
mod core;
mod deflating;
mod deliver;
mod doorbell;
mod ending;
mod flush;
mod goodbye;
mod heartbeat;
mod held;
mod ingest;
mod mailbox;
mod pool;
mod progress;
mod shedding;
mod stash;
mod table;
mod timers;
mod trim;
mod unfinished;
mod waiters;

/// What [`doorbell`] and [`waiters`] are built on; a test builds them on loom's.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

pub use self::core::Shared;
pub use doorbell::Doorbell;
pub use mailbox::{Address, Envelope, Mail, Posted, mailboxes};
pub use waiters::Waiters;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use self::budget::Phase;
use self::core::Core;
use self::ingest::After;
use crate::driver::{Completion, Driver, Listener, ListenerId};
use crate::limits::ACCEPT_COST;
use crate::stats::Counters;

/// See the module.
#[derive(Debug)]
pub struct Worker<D: Driver> {
    driver: D,
    core: Core<D::Waker>,
    listeners: Vec<ListenerId>,
}

impl<D: Driver> Worker<D> {
    /// A worker that may hold `connections_max` connections.
    #[must_use]
    pub fn new(
        driver: D,
        shared: Arc<Shared>,
        counters: Arc<Counters>,
        mail: Mail<D::Waker>,
        connections_max: usize,
    ) -> Self {
        let core = Core::new(shared, counters, mail, connections_max, driver.now());
        Self { driver, core, listeners: Vec::new() }
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
        let wakes = self.core.mail.close();
        self.core.counters.wakes.add(wakes);
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
        self.core.enter(Phase::Input);
        self.complete();
        self.core.enter(Phase::Timers);
        self.core.expire();
        self.judge();
        self.shed();
        self.core.enter(Phase::Delivery);
        self.core.read_mail();
        self.core.deliver();
        // Behind the deliveries: what was said before the server was stopped comes first.
        self.core.enter(Phase::Goodbye);
        self.say_goodbye();
        self.flush();
        self.trim();
        self.core.counters.turns.add(1);
        Ok(())
    }

    /// Whether the server stops and no connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.core.stopping.is_some() && self.core.table.len() == 0
    }

    /// How long there is nothing to do unless something happens. Whoever leaves mail from here on
    /// wakes the worker; what was left before is seen here.
    pub fn time_to_sleep(&mut self) -> Duration {
        let timeout = self.core.idle_for(self.driver.now());
        let may_sleep = self.core.mail.may_sleep() && !self.core.is_stop_unseen();
        if may_sleep { timeout } else { Duration::ZERO }
    }

    /// What the last turn has cost, and what it might: for tests of that bound.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.core.budget.work()
    }

    /// Its driver, for tests that decide when it wakes.
    pub fn driver(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Its mail, for tests that carry it out of order.
    pub fn mail(&mut self) -> &mut Mail<D::Waker> {
        &mut self.core.mail
    }

    fn sleep(&mut self) -> io::Result<()> {
        let timeout = self.time_to_sleep();
        self.driver.wait(timeout)?;
        self.core.mail.wake_up();
        let now = self.driver.now();
        if self.core.is_next_second(now) {
            self.core.set_second(now, self.driver.unix_time());
        }
        self.core.begin_turn(now);
        Ok(())
    }

    /// Ends those whose deadline has passed, unless what they sent is still to be read, or what
    /// they are sent is being taken.
    fn judge(&mut self) {
        while let Some(conn) = self.core.slow.pop() {
            let taken = self.driver.taken(conn);
            self.core.look_at_send(conn, taken);
        }
        while let Some(conn) = self.core.suspects.pop() {
            if self.driver.has_unread(conn) {
                self.core.reprieve(conn);
            } else {
                self.core.condemn(conn);
            }
        }
        while let Some(conn) = self.core.stuck.pop() {
            let has_unread = self.driver.has_unread(conn);
            self.core.judge_unfinished(conn, has_unread);
        }
    }

    fn complete(&mut self) {
        while let Some(completion) = self.driver.next() {
            match completion {
                Completion::Accepted(conn, _) => {
                    self.core.budget.pay(ACCEPT_COST);
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
            if self.core.budget.is_empty() {
                return;
            }
        }
    }
}
