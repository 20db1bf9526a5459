//! One thread: a driver, its connections, its share of the hub, timers and a mailbox.
//!
//! Bytes enter a connection in `ingest` and leave it in `flush`; everything between only gathers
//! effects. A worker never blocks but in its driver's wait, and takes no lock but that of a few of
//! all rooms where one of them opens or closes. Every loop of a turn pays the `budget`.

mod budget;
mod clock;
mod connection;
mod core;
mod egress;
mod ingress;
mod inquiry;
mod life;
mod limits;
mod mail;
mod memory;
mod notices;
mod table;

pub use self::core::{Reload, Shared};
pub use inquiry::{
    ConnectionInfo, Disconnect, Inquired, Inquiry, PAGE_MAX, Report, TOPICS_SHOWN_MAX, Totals,
    Wanted, Whom,
};
pub use life::cohorts::UntilPing;
pub use life::image::{Image, ImageError, LinkImage, NotNow, PingImage};
pub use limits::{Client, ClientImage, LimitsImage};
pub use mail::{
    Address, Doorbell, Envelope, Mail, Posted, Waiters, mailboxes, mailboxes_and_control,
};

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egress::{deliver, flush};
use ingress::ingest::{self, After};
use ingress::{held, parked};
use life::{Question, ending, goodbye, heartbeat, persist, progress, unfinished};
use memory::{shedding, trim};

use self::budget::Phase;
use self::core::{Core, Parts};
use crate::driver::{Completion, Driver, Listener, ListenerId};
use crate::id::ConnId;
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
    /// When the last wait began.
    slept_at: Instant,
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
        Self { driver, core, listeners: Vec::new(), look_at: now, slept_at: now }
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
        held::resume_held(&mut self.core);
        self.core.parts.budget.enter(Phase::Input);
        self.complete();
        self.core.parts.budget.enter(Phase::Timers);
        heartbeat::weed(&mut self.core);
        if self.core.parts.clock.now >= self.look_at {
            heartbeat::expire(&mut self.core);
            self.judge();
        }
        shedding::shed(self);
        self.core.parts.budget.enter(Phase::Delivery);
        deliver::read_mail(&mut self.core);
        inquiry::go_on(self);
        parked::send_questions(&mut self.core);
        deliver::deliver(&mut self.core);
        // Behind the deliveries: what was said before the server was stopped comes first.
        self.core.parts.budget.enter(Phase::Goodbye);
        goodbye::say_goodbye(self);
        flush::flush(self);
        trim::trim(self);
        self.core.parts.counters.turns.add(1);
        self.core.parts.counters.turn_units.note(self.core.parts.budget.work());
        Ok(())
    }

    /// Whether the server stops, all were told, and no connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.core.parts.admission.stopping.is_ending() && self.core.table.len() == 0
    }

    /// How long there is nothing to do unless something happens. Whoever leaves mail from here on
    /// wakes the worker; what was left before is seen here.
    pub fn time_to_sleep(&mut self) -> Duration {
        let now = self.driver.now();
        let timeout = self.core.idle_for(now);
        self.look_at = now + timeout;
        self.slept_at = now;
        let may_sleep = self.core.parts.mail.may_sleep() && !self.core.parts.is_stop_unseen();
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

    /// Writes a connection out between two turns. It is not known here from then on; its socket and
    /// what is being sent stay with the driver. Rooms that it leaves empty stay open until the next
    /// turn begins.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be written out now.
    pub fn write_out(&mut self, conn: ConnId) -> Result<Vec<u8>, NotNow> {
        let now = self.driver.now();
        persist::write_out(&mut self.core, conn, now)
    }

    /// Goes on with a connection that was written out, in a slot where there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or there is no room for it: then there is nothing of it here.
    pub fn read_back(&mut self, conn: ConnId, image: &[u8]) -> Result<(), ImageError> {
        let now = self.driver.now();
        persist::read_back(&mut self.core, conn, image, now)
    }

    /// All connections, in the order in which they are to be written out and read back.
    pub fn connections(&mut self) -> Vec<ConnId> {
        persist::in_order(&mut self.core)
    }

    /// Whether anything here knows of a connection: for tests that nothing does.
    pub fn knows(&mut self, conn: ConnId) -> bool {
        persist::is_known(&mut self.core, conn)
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
        if !self.core.parts.hub.fanouts.is_empty() {
            self.note_fanouts(if D::SENDS_IN_WAIT { now } else { self.slept_at });
        }
        if self.core.parts.clock.is_next_second(now) {
            self.core.parts.clock.set_second(now, self.driver.unix_time());
        }
        self.core.begin_turn(now);
        Ok(())
    }

    /// What was delivered to all in the last turn has been handed to the kernel by now.
    #[inline(never)]
    fn note_fanouts(&mut self, now: Instant) {
        let Parts { hub, counters, .. } = &mut self.core.parts;
        hub.note_fanouts(now, |micros| counters.fanout_micros.note(micros));
    }

    /// Ends those whose deadline has passed, unless what they sent is still to be read, or what
    /// they are sent is being taken.
    fn judge(&mut self) {
        while let Some((question, conn)) = self.core.parts.life.questions.pop() {
            match question {
                Question::Taken => {
                    let taken = self.driver.taken(conn);
                    progress::look_at_send(&mut self.core, conn, taken);
                }
                Question::Silence if self.driver.has_unread(conn) => {
                    ending::reprieve(&mut self.core, conn)
                }
                Question::Silence => ending::condemn(&mut self.core, conn),
                Question::Progress => {
                    let has_unread = self.driver.has_unread(conn);
                    unfinished::judge_unfinished(&mut self.core, conn, has_unread);
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
                    let needs_peers = self.core.parts.settings.needs_peers;
                    let peer = if needs_peers { self.driver.peer(conn) } else { None };
                    ingest::accepted(&mut self.core, conn, peer);
                }
                Completion::Received(conn, bytes) => {
                    match ingest::received(&mut self.core, conn, bytes) {
                        After::Nothing => {}
                        After::Pause => self.driver.pause(conn),
                        After::Answer => flush::flush_one(self, conn),
                        After::Reply(part) => flush::reply(self, conn, part),
                    }
                }
                Completion::Sent(conn, bytes) => {
                    ending::sent(&mut self.core, conn, bytes);
                    continue;
                }
                Completion::Ended(conn, end) => ending::ended(&mut self.core, conn, end),
                Completion::Closed(conn) => ending::closed(&mut self.core, conn),
                Completion::Released(..) => unreachable!("nothing is released yet"),
                Completion::Woken => {}
            }
            if self.core.parts.budget.is_empty() {
                return;
            }
        }
    }
}
