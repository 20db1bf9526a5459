//! What a worker does in one turn, counted while others flood it: whoever sends something small
//! waits for no more than that.
//!
//! The clock says the same in `overload`. A loud host makes turns smaller here, never larger.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use testkit::swarm::{Pattern, TEXT, put_frame};
use throng::config::{Backend, Config};
use throng::limits::{FRAME_COST, TURN_BUDGET};
use throng::server::Server;

use crate::overload::crowd::{Crowd, Script};
use crate::overload::flood::{UNITS, floods};
use crate::overload::peer::{drain, open, request};
use crate::support::{PATIENCE, comes_to_hold, config, report, start, stop};

on_both!(
    a_turn_takes_no_more_of_any_kind_than_four_times_what_it_takes_of_texts,
    a_turn_takes_a_part_of_a_mailbox_that_is_full_of_large_messages,
);

const CLIENTS: usize = 1200;

/// Turns that are watched, at least.
const TURNS: u64 = 8;

/// Texts of a few bytes that are handled in a turn at most, and how many more of others may be.
const TEXTS_PER_TURN: u64 = TURN_BUDGET as u64 / 4 / FRAME_COST as u64;
const TIMES_MAX: u64 = 4;

/// A request takes as long as so many texts.
const TEXTS_PER_REQUEST: u64 = 8;

/// A pong of four bytes.
const PONG_BYTES: u64 = 6;

/// Messages of a megabyte that a turn may take out of a mailbox: those that the sender's turn may
/// have put there, and some.
const LARGE_BYTES: usize = 1_000_000;
const LARGE_PER_TURN: u64 = 16;

/// Watches how a count grows with the turns of a worker.
struct Watch {
    turns: u64,
    count: u64,
    began: u64,
    /// The most in a turn, on average over turns that were not seen one by one.
    most: u64,
}

impl Watch {
    fn new((turns, count): (u64, u64)) -> Self {
        Self { turns, count, began: turns, most: 0 }
    }

    /// What was counted since the last look belongs to the turns that have ended, and to one that
    /// has not.
    fn look(&mut self, (turns, count): (u64, u64)) {
        if turns > self.turns {
            self.most = self.most.max((count - self.count) / (turns - self.turns + 1));
            (self.turns, self.count) = (turns, count);
        }
    }

    fn has_seen_enough(&self) -> bool {
        self.turns - self.began >= TURNS
    }
}

fn a_turn_takes_no_more_of_any_kind_than_four_times_what_it_takes_of_texts(backend: Backend) {
    let mut too_many = Vec::new();
    for (kind, again) in floods() {
        let (server, address) = start(config(backend, 1));
        let is_requests = kind == "requests";
        let first = if is_requests { Vec::new() } else { request(address, "/echo", "") };
        let reply_bytes = if is_requests { reply_bytes(address, &again) } else { PONG_BYTES };
        let mut crowd = Crowd::connect(address, CLIENTS, Script { first, again });
        assert!(crowd.run_until(PATIENCE, |crowd| crowd.written() == CLIENTS), "all have begun");
        let counts = || {
            let counts = server.counts();
            // What has no count of its own is known by the replies.
            let units = match kind {
                "texts" => counts.messages_received,
                "fragments" => counts.messages_received * UNITS as u64,
                _ => counts.bytes_sent / reply_bytes,
            };
            (counts.turns, units)
        };
        let mut watch = Watch::new(counts());
        let has_ended = crowd.run_until(PATIENCE, |_| {
            watch.look(counts());
            watch.has_seen_enough()
        });
        assert!(has_ended, "{kind}: {} turns", watch.turns - watch.began);
        let most = watch.most;
        report(&format!("{kind}: {most} in a turn"));
        drop(crowd);
        stop(server);
        let texts = TEXTS_PER_TURN * TIMES_MAX;
        let bound = if is_requests { texts / TEXTS_PER_REQUEST } else { texts };
        if most > bound {
            too_many.push(format!("{kind}: {most} in a turn, {bound} are allowed"));
        }
    }
    assert!(too_many.is_empty(), "{too_many:?}");
}

/// Bytes of the response to the first of these requests.
fn reply_bytes(address: SocketAddr, requests: &[u8]) -> u64 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(&requests[..requests.len() / UNITS]).expect("it is open");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("a response comes");
    response.len() as u64
}

fn a_turn_takes_a_part_of_a_mailbox_that_is_full_of_large_messages(backend: Backend) {
    // Who is late here is late because of the others.
    let config = Config { max_backlog: 1 << 30, ..config(backend, 2) };
    let (server, address) = start(config);
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut publisher = open_on(&server, address, 0, "");
    let member = open_on(&server, address, 1, deflate);
    let readers = [&publisher, &member].map(|stream| stream.try_clone().expect("it is open"));
    let readers = readers.map(drain);
    let counts = || {
        let counts = server.counts_by_worker()[1];
        (counts.turns, counts.messages_delivered)
    };
    let mut watch = Watch::new(counts());
    let pattern = Pattern::text(LARGE_BYTES);
    for number in 0..200 {
        let mut frame = Vec::new();
        put_frame(&mut frame, TEXT, number, &[pattern.slice(number.into(), LARGE_BYTES)]);
        for piece in frame.chunks(64 << 10) {
            publisher.write_all(piece).expect("who reads is not closed");
            watch.look(counts());
        }
    }
    let all_have_come = || {
        watch.look(counts());
        watch.count >= 200
    };
    assert!(comes_to_hold(all_have_come), "{:?}", server.counts());
    let most = watch.most;
    report(&format!("{most} MB in a turn, {} turns", watch.turns - watch.began));
    for stream in [publisher, member] {
        stream.shutdown(Shutdown::Both).expect("it is open");
    }
    readers.into_iter().for_each(|reader| {
        reader.join().expect("reading does not panic");
    });
    stop(server);
    assert!(most <= LARGE_PER_TURN, "{most} MB in a turn");
}

/// Opens until the kernel has given one to that worker.
fn open_on(server: &Server, address: SocketAddr, worker: usize, lines: &str) -> TcpStream {
    for _ in 0..1000 {
        let upgraded = || server.counts_by_worker()[worker].upgraded;
        let before = upgraded();
        let stream = open(address, "/room/a", lines);
        if upgraded() > before {
            return stream;
        }
    }
    panic!("no connection came to worker {worker}");
}
