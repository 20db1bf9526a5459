//! One honest client on a thread of its own, whose waits are what overload does to others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testkit::swarm::{BINARY, Spawned, Target, put_frame};

use crate::support::PATIENCE;

/// Opens a WebSocket, with further lines in the request.
pub(crate) fn open(address: SocketAddr, path: &str, lines: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.set_write_timeout(Some(PATIENCE)).expect("it is not zero");
    stream.write_all(&request(address, path, lines)).expect("it is open");
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a response comes");
        response.push(byte[0]);
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&response));
    stream
}

/// The bytes of such a request.
pub(crate) fn request(address: SocketAddr, path: &str, lines: &str) -> Vec<u8> {
    let request = Target::new(address, path).request().to_vec();
    let head = request.len() - b"\r\n".len();
    [&request[..head], lines.as_bytes(), b"\r\n"].concat()
}

/// Opens until the kernel has given one to that thread of the server, whose table of descriptors
/// then holds more.
pub(crate) fn open_on(server: &Spawned, thread: usize, path: &str, lines: &str) -> TcpStream {
    for _ in 0..1000 {
        let before = server.descriptors();
        let stream = open(server.address(), path, lines);
        let after = server.descriptors();
        if after[thread] > before[thread] {
            return stream;
        }
        // The next one must not be taken for this one, which leaves.
        let other = (0..after.len()).find(|at| after[*at] > before[*at]).expect("one has it");
        drop(stream);
        let is_gone = || server.descriptors()[other] < after[other];
        assert!(crate::support::comes_to_hold(is_gone), "who leaves is let go");
    }
    panic!("no connection came to thread {thread}");
}

/// The threads of a server that accept: where connections show.
pub(crate) fn threads_of(server: &Spawned, workers: usize) -> Vec<usize> {
    let (before, mut streams) = (server.descriptors(), Vec::new());
    let grown = |after: &[usize]| {
        (0..before.len()).filter(|at| after[*at] > before[*at]).collect::<Vec<usize>>()
    };
    while grown(&server.descriptors()).len() < workers {
        assert!(streams.len() < 1000, "connections come to {:?}", grown(&server.descriptors()));
        streams.push(open(server.address(), "/echo", ""));
    }
    let threads = grown(&server.descriptors());
    drop(streams);
    assert!(crate::support::comes_to_hold(|| server.descriptors() == before), "all leave");
    threads
}

/// Round trips of an echo client, one after the other, until it is asked for them.
pub(crate) struct Prober {
    must_end: Arc<AtomicBool>,
    thread: JoinHandle<Waits>,
}

/// How long each echo took, in order of length.
pub(crate) struct Waits(Vec<Duration>);

impl Prober {
    /// Sends an echo so often, or when the last one is back.
    pub(crate) fn start(mut stream: TcpStream, each: Duration) -> Self {
        let must_end = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let must_end = Arc::clone(&must_end);
            move || {
                let mut waits = Vec::new();
                while !must_end.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    round_trip(&mut stream);
                    waits.push(began.elapsed());
                    thread::sleep(each.saturating_sub(began.elapsed()));
                }
                waits.sort();
                Waits(waits)
            }
        });
        Self { must_end, thread }
    }

    /// The waits, that for the echo on its way included.
    pub(crate) fn stop(self) -> Waits {
        self.must_end.store(true, Ordering::Relaxed);
        self.thread.join().expect("every echo comes")
    }
}

impl Waits {
    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn worst(&self) -> Duration {
        *self.0.last().expect("there was one at least")
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, median, worst) = (self.0.len(), self.median(), self.worst());
        write!(f, "{count} echoes, median {median:.1?}, worst {worst:.1?}")
    }
}

pub(crate) fn round_trip(stream: &mut TcpStream) {
    let mut frame = Vec::new();
    put_frame(&mut frame, BINARY, 0x0102_0304, &[b"echo"]);
    stream.write_all(&frame).expect("it is open");
    let mut reply = [0; 6];
    stream.read_exact(&mut reply).expect("every echo comes");
    assert_eq!(&reply, b"\x82\x04echo");
}

/// Reads and throws away until the end, on a thread of its own; gives the number of bytes.
pub(crate) fn drain(mut stream: TcpStream) -> JoinHandle<u64> {
    thread::spawn(move || {
        let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            bytes += count as u64;
        }
        bytes
    })
}
