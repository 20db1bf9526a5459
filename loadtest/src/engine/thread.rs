//! One loader thread: a poll, and a loop around it.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use loadtest::place::Memory;
use mio::event::Event;
use mio::{Events, Poll, Token};

use super::link::{Hearing, State};
use super::net::{Net, Opening, describe};
use super::tally::{Live, Tally};
use super::timer::Alarm;
use super::{Behaviour, Command, WAKER, frames};
use crate::clock::Clock;

/// Bytes that all connections of a thread read into.
const BUFFER_BYTES: usize = 256 * 1024;

/// Events taken from the kernel at once.
const EVENTS_PER_TURN: usize = 1024;

/// Full buffers read from one connection before the others have their turn.
const READS_PER_TURN: usize = 8;

/// The longest wait; commands and alarms end it earlier.
const WAIT_MAX: Duration = Duration::from_millis(500);

const ALARM: Token = Token(usize::MAX - 2);

pub(super) struct LoaderThread<B: Behaviour> {
    poll: Poll,
    alarm: Alarm,
    commands: Receiver<Command<B::Order>>,
    behaviour: B,
    net: Net,
    buffer: Memory,
    /// Connections that had more than one turn may read.
    again: Vec<usize>,
    nap: Duration,
}

impl<B: Behaviour> LoaderThread<B> {
    pub(super) fn new(
        poll: Poll,
        commands: Receiver<Command<B::Order>>,
        behaviour: B,
        opening: Opening,
        live: Arc<Live>,
        clock: Clock,
        place: (usize, usize),
    ) -> io::Result<Self> {
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let nap = opening.nap;
        let net = Net::new(opening, poll.registry().try_clone()?, live, clock, place);
        let buffer = Memory::new(BUFFER_BYTES);
        Ok(Self { poll, alarm, commands, behaviour, net, buffer, again: Vec::new(), nap })
    }

    pub(super) fn run(mut self) -> io::Result<(Tally, B::Outcome)> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while self.obey() {
            self.wait(&mut events)?;
            for event in &events {
                match event.token() {
                    WAKER => {}
                    ALARM => self.alarm.rang(),
                    Token(key) => self.ready(key, event),
                }
            }
            for key in std::mem::take(&mut self.again) {
                self.read(key, false);
                self.turn_of_link_done(key);
            }
            self.bury();
            self.behaviour.turn_done(&mut self.net);
            self.sleep_if_asked(events.iter().count());
        }
        let outcome = self.behaviour.finish(&mut self.net);
        self.net.publish();
        self.net.reset_all();
        Ok((self.net.tally, outcome))
    }

    /// Carries out all commands; false if the end was among them.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Open { count, per_second }) => {
                    let now = self.net.clock.now_ns();
                    self.net.ramp.open(count, per_second, now);
                }
                Ok(Command::StopOpening) => self.net.ramp.stop(),
                Ok(Command::Order(order)) => self.behaviour.order(&mut self.net, order),
                Ok(Command::ResetPings) => self.net.reset_pings(),
                Ok(Command::CountPings(sender)) => {
                    // Whoever asks waits for it.
                    let _ = sender.send(self.net.count_pings());
                }
                Ok(Command::Sync(sender)) => {
                    self.behaviour.turn_done(&mut self.net);
                    self.net.publish();
                    // Whoever asks waits for it.
                    let _ = sender.send(());
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Command::Finish) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Does what is due and waits for what happens next.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        self.net.begin_due();
        let now = self.net.clock.now_ns();
        self.net.expire(now);
        let due = self.behaviour.tick(&mut self.net).min(self.net.ramp.due_ns());
        self.bury();
        let due = due.min(self.net.next_deadline_ns());
        self.net.publish();
        let now = self.net.clock.now_ns();
        let is_due = due <= now || !self.again.is_empty();
        let timeout = if is_due { Duration::ZERO } else { WAIT_MAX };
        if !is_due {
            self.alarm.set(due, now)?;
        }
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets more come together before it is looked at. Each message that wakes a sleeping thread
    /// costs its sender some microseconds, and the sender is the server.
    fn sleep_if_asked(&self, events: usize) {
        if !self.nap.is_zero() && events < EVENTS_PER_TURN && self.again.is_empty() {
            std::thread::sleep(self.nap);
        }
    }

    fn ready(&mut self, key: usize, event: &Event) {
        let Some(link) = self.net.links.get(key) else { return };
        if link.state == State::Connecting {
            self.net.now_ns = self.net.clock.now_ns();
            self.net.connected(key);
        } else if event.is_writable() && link.outgoing_bytes() > 0 {
            self.net.flush(key);
        }
        let is_over = event.is_read_closed() || event.is_error();
        if event.is_readable() || is_over {
            self.read(key, is_over);
        }
        self.turn_of_link_done(key);
    }

    /// Frees what the connection does not need until the next time.
    fn turn_of_link_done(&mut self, key: usize) {
        if let Some(link) = self.net.links.get_mut(key) {
            link.tidy();
        }
    }

    /// Frees those that have gone. Their keys are not used again before, so that what the kernel
    /// told of them in this turn is not taken for another's.
    fn bury(&mut self) {
        while let Some(grave) = self.net.bury() {
            if grave.was_open {
                self.behaviour.gone(&mut self.net, grave.key);
            } else {
                self.behaviour.failed(&mut self.net, grave.id);
            }
        }
    }

    /// Reads what is there. A read that does not fill the buffer has taken all, unless the peer's
    /// end of stream came behind it, of which there would be no other event.
    fn read(&mut self, key: usize, is_over: bool) {
        for _ in 0..READS_PER_TURN {
            let Some(link) = self.net.links.get_mut(key) else { return };
            if link.state == State::Gone {
                return;
            }
            match link.hearing {
                Hearing::Deaf if is_over => {
                    link.hearing = Hearing::HungUp;
                    return self.behaviour.hung_up(&mut self.net, key);
                }
                Hearing::Deaf | Hearing::HungUp => return,
                Hearing::Always | Hearing::Again => {}
            }
            match link.socket.read(self.buffer.bytes()) {
                Ok(0) => return self.end(key, "closed by the server without a close frame"),
                Ok(count) => {
                    self.net.now_ns = self.net.clock.now_ns();
                    self.net.tally.received_bytes += count as u64;
                    let (net, behaviour) = (&mut self.net, &mut self.behaviour);
                    frames::feed(net, behaviour, key, &self.buffer.bytes()[..count]);
                    if count < BUFFER_BYTES && !is_over {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let why = format!("read: {}", describe(&error));
                    return self.end(key, &why);
                }
            }
        }
        self.again.push(key);
    }

    fn end(&mut self, key: usize, why: &str) {
        let state = self.net.links[key].state;
        let why = match state {
            State::Connecting => format!("connect: {why}"),
            State::Upgrading => format!("handshake: {why}"),
            _ => why.to_owned(),
        };
        self.net.end(key, Some(&why));
    }
}
