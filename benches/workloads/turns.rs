//! Turns of the real worker, on a driver that costs nothing.

use std::time::Duration;

use super::worker::{
    client_frame, conns, frames, open, opened, request, request_deflate, turn, workers,
};
use super::{Case, Round};
use throng::wire::Opcode;

pub(super) const CASES: &[Case] = &[
    messages("turn/echo-200x1x20B", 200, || echo(200, 1, 20)),
    messages("turn/echo-1000x16x125B", 16_000, || echo(1000, 16, 125)),
    messages("turn/echo-64x1x16KiB", 64, || echo(64, 1, 16 << 10)),
    Case { name: "turn/ping-200", unit: "pings", units: 200, make: ping },
    deliveries("turn/room-1x100B-to-1000", 1000, || room(1, 1000)),
    deliveries("turn/room-8x100B-to-1000", 8000, || room(8, 1000)),
    deliveries("turn/room-1x100B-to-10", 10, || room(1, 10)),
    deliveries("turn/mail-1x100B-to-1000", 1000, || mail(1, 1000)),
    deliveries("turn/mail-8x100B-to-1000", 8000, || mail(8, 1000)),
    Case { name: "turn/connect-100", unit: "connections", units: 100, make: connect },
];

const fn messages(name: &'static str, units: u32, make: fn() -> Round) -> Case {
    Case { name, unit: "messages", units, make }
}

const fn deliveries(name: &'static str, units: u32, make: fn() -> Round) -> Case {
    Case { name, unit: "deliveries", units, make }
}

fn echo(connections: usize, pipelined: usize, length: usize) -> Round {
    let mut worker = opened("/echo", connections);
    worker
        .driver()
        .receive_for_replies(conns(connections).map(|conn| (conn, frames(pipelined, length))));
    Box::new(move || turn(&mut worker))
}

/// Control frames: each is answered.
fn ping() -> Round {
    let mut worker = opened("/echo", 200);
    let ping = client_frame(Opcode::Ping, b"12345678");
    worker.driver().receive(conns(200).map(|conn| (conn, ping.clone())));
    Box::new(move || turn(&mut worker))
}

/// One of the members publishes.
fn room(messages: usize, members: usize) -> Round {
    let mut worker = opened("/room/lobby", members);
    worker.driver().receive(conns(1).map(|conn| (conn, frames(messages, 100))));
    Box::new(move || turn(&mut worker))
}

/// The publisher is alone on its worker, and the other members are all on another.
fn mail(messages: usize, members: usize) -> Round {
    let mut workers = workers(2);
    open(&mut workers[0], &request("/room/lobby"), 1);
    open(&mut workers[1], &request("/room/lobby"), members);
    workers[0].driver().receive(conns(1).map(|conn| (conn, frames(messages, 100))));
    Box::new(move || workers.iter_mut().for_each(turn))
}

/// Connections come, open a session and break.
fn connect() -> Round {
    let mut worker = workers(1).remove(0);
    let request = request_deflate("/room/lobby");
    Box::new(move || {
        open(&mut worker, &request, 100);
        worker.driver().reset(conns(100));
        turn(&mut worker);
        turn(&mut worker);
        // What was entered among the timers must go out again.
        worker.driver().pass(Duration::from_secs(1));
    })
}
