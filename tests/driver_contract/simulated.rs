//! The driver without a kernel, over many seeds. A failure prints its seed, and
//! `SEED=n cargo test --test driver_contract simulated` runs that one again.

use std::os::fd::OwnedFd;
use std::time::Duration;

use throng::driver::sim::{Client, Net, SimDriver};
use throng::driver::{Completion, Driver, ListenerId, Tuning};

use crate::harness::{Harness, Peer, Trying};
use crate::log::Rest;

const SEEDS: u64 = 50;

pub(crate) struct Simulated {
    net: Net,
    drivers: usize,
    listening: usize,
}

impl Harness for Simulated {
    type Driver = SimDriver;
    type Peer = Client;

    /// No client has room for more than 20,200 bytes.
    const BULK: usize = 24 * 1024;
    /// What has come may be late three times in a row, but hardly sixty.
    const REST: Rest = Rest { waits: 60, timeout: Duration::ZERO };
    const STOPS_WRITERS: bool = false;

    /// The variants take turns with the seeds.
    fn run(variants: usize, case: impl Fn(Self, usize)) {
        let one = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
        for seed in one.map_or(0..SEEDS, |seed| seed..seed + 1) {
            let _trying = Trying(format!("seed={seed}"));
            let variant = seed as usize % variants;
            case(Self { net: Net::new(seed), drivers: 0, listening: 0 }, variant);
        }
    }

    fn driver(&mut self, tuning: Tuning) -> SimDriver {
        self.drivers += 1;
        self.net.driver_with_budget(tuning.budget)
    }

    fn listen(&mut self, driver: &mut SimDriver) -> ListenerId {
        self.listening = self.drivers - 1;
        driver.accept_connects()
    }

    fn connect(&mut self) -> Option<Client> {
        let client = self.net.connect(self.listening);
        (!client.is_reset()).then_some(client)
    }

    /// Another driver accepts it and gives it away.
    fn socket(&mut self) -> (OwnedFd, Client) {
        let mut driver = self.driver(Tuning::for_connections(1));
        driver.accept_connects();
        let client = self.net.connect(self.drivers - 1);
        driver.wait(Duration::ZERO).expect("it never fails");
        let Some(Completion::Accepted(conn, _)) = driver.next() else { panic!("it connected") };
        driver.release(conn);
        driver.wait(Duration::ZERO).expect("it never fails");
        let Some(Completion::Released(_, socket, None)) = driver.next() else {
            panic!("it was released")
        };
        (socket, client)
    }
}

impl Peer for Client {
    fn write(&mut self, bytes: &[u8]) -> usize {
        Self::write(self, bytes);
        bytes.len()
    }

    fn write_and_finish(&mut self, bytes: &[u8]) {
        Self::write(self, bytes);
        Self::finish(self);
    }

    /// A simulated client has no room for what it leaves, so it takes all.
    fn read(&mut self, _max: usize) -> Vec<u8> {
        Self::read(self)
    }

    fn is_ended(&mut self) -> bool {
        Self::is_ended(self)
    }

    fn finish(&mut self) {
        Self::finish(self);
    }

    fn reset(self) {
        Self::reset(&self);
    }
}
