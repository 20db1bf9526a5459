//! A message to a very large room: who else is served while it is delivered.

use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, Link, Swarm, Target, Visitor};
use throng::config::Backend;

use super::peer::{Prober, open};
use crate::support::{PATIENCE, name, report, spawn};

on_both_in_full!(an_echo_during_a_fan_out_takes_a_quarter_of_it_at_most);

const MEMBERS: usize = 15_000;
const ROUNDS: usize = 20;

/// How much of a fan-out an echo may take, at the median round.
const SHARE_MAX: f64 = 0.25;

#[derive(Default)]
struct Received(usize);

impl Visitor for Received {
    fn frame(&mut self, _link: &mut Link, _first: u8, _payload: &[u8]) {
        self.0 += 1;
    }
}

fn an_echo_during_a_fan_out_takes_a_quarter_of_it_at_most(backend: Backend) {
    let server = spawn(backend, &["--workers", "1", "--ping-interval", "0"]);
    let room = Target::new(server.address(), "/room/large");
    let (mut swarm, mut received) = (Swarm::new(), Received::default());
    swarm.open(MEMBERS, &[room], &mut received);
    let (mut shares, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        received.0 = 0;
        let prober = Prober::start(open(server.address(), "/echo", ""), Duration::ZERO);
        let began = Instant::now();
        swarm.link(0).frame(BINARY, &[b"a message to everybody"]);
        let is_done = swarm.run(PATIENCE, &mut received, |_, received| received.0 == MEMBERS);
        assert!(is_done, "{} of {MEMBERS}", received.0);
        let took = began.elapsed();
        let waits = prober.stop();
        shares.push(waits.worst().as_secs_f64() / took.as_secs_f64());
        lines.push(format!("{:.0?} of {took:.0?}", waits.worst()));
    }
    shares.sort_by(f64::total_cmp);
    let share = shares[ROUNDS / 2];
    report(&format!(
        "{}: the worst echo took {share:.2} of a fan-out to {MEMBERS}: {}",
        name(backend),
        lines.join(", ")
    ));
    swarm.reset_all();
    assert!(share <= SHARE_MAX, "{share:.2}");
}
