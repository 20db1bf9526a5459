//! The listeners of the epoll driver.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use mio::Token;

use super::WAKER;
use crate::driver::shortage::Shortage;
use crate::driver::{Listener, ListenerId};
use crate::limits::{ACCEPT_RETRY, ACCEPTS_PER_TURN};

/// Listeners, and which of them may have a connection for us.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    listeners: Vec<Option<Listening>>,
    /// Accepted, but the kernel did not watch it: the next to be given out.
    unwatched: Option<(OwnedFd, ListenerId)>,
    /// Accepting rests until then, or until a connection is closed: something ran out.
    stalled_until: Option<Instant>,
    /// What was said to have run out.
    told: Vec<Shortage>,
    now: Option<Instant>,
}

#[derive(Debug)]
struct Listening {
    listener: Listener,
    is_ready: bool,
    accepts_left: usize,
}

impl Accepting {
    pub(super) fn listener_of(token: usize) -> Option<ListenerId> {
        let id = u16::try_from(WAKER - 1 - token).ok()?;
        Some(ListenerId(id))
    }

    pub(super) fn add(&mut self, listener: Listener) -> (ListenerId, Token) {
        let id = self.listeners.len() as u16;
        let listening = Listening { listener, is_ready: true, accepts_left: 0 };
        self.listeners.push(Some(listening));
        (ListenerId(id), Token(WAKER - 1 - usize::from(id)))
    }

    pub(super) fn remove(&mut self, id: ListenerId) -> Option<Listener> {
        self.unwatched.take_if(|(_, listener)| *listener == id);
        self.listeners[usize::from(id.0)].take().map(|listening| listening.listener)
    }

    pub(super) fn listens(&self) -> bool {
        self.listeners.iter().any(Option::is_some)
    }

    pub(super) fn mark_ready(&mut self, id: ListenerId) {
        if let Some(listening) = &mut self.listeners[usize::from(id.0)] {
            listening.is_ready = true;
        }
    }

    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.now = Some(now);
        if self.stalled_until.is_some_and(|until| until <= now) {
            self.stalled_until = None;
        }
        for listening in self.listeners.iter_mut().flatten() {
            listening.accepts_left = ACCEPTS_PER_TURN;
        }
    }

    /// A descriptor has come free.
    pub(super) fn unstall(&mut self) {
        self.stalled_until = None;
    }

    pub(super) fn is_ready(&self) -> bool {
        let has_any = || self.listeners.iter().flatten().any(|l| l.is_ready);
        self.stalled_until.is_none() && (self.unwatched.is_some() || has_any())
    }

    pub(super) fn retry_in(&self, now: Instant) -> Option<Duration> {
        self.stalled_until.map(|until| until.saturating_duration_since(now))
    }

    /// The next connection of this turn. A listener that was stopped by its budget or for want of
    /// descriptors is tried again without another edge.
    pub(super) fn accept(&mut self) -> Option<(OwnedFd, ListenerId)> {
        if self.stalled_until.is_some() {
            return None;
        }
        if let Some(unwatched) = self.unwatched.take() {
            return Some(unwatched);
        }
        for (id, listening) in self.listeners.iter_mut().enumerate() {
            let Some(listening) = listening else { continue };
            while listening.is_ready && listening.accepts_left > 0 {
                listening.accepts_left -= 1;
                match listening.listener.accept() {
                    Ok(socket) => return Some((socket, ListenerId(id as u16))),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        listening.is_ready = false;
                    }
                    Err(error) => {
                        if let Some(shortage) = Shortage::of_accept(&error) {
                            self.stall(shortage, &error);
                            return None;
                        }
                        // The client has gone in the meantime: the next one.
                    }
                }
            }
        }
        None
    }

    /// Keeps a connection that the kernel did not watch, and rests with those behind it.
    pub(super) fn keep_unwatched(&mut self, socket: OwnedFd, id: ListenerId, error: &io::Error) {
        self.unwatched = Some((socket, id));
        self.stall(Shortage::of_watch(error), error);
    }

    fn stall(&mut self, shortage: Shortage, error: &io::Error) {
        self.stalled_until = self.now.map(|now| now + ACCEPT_RETRY);
        shortage.warn_once(&mut self.told, error);
    }
}
