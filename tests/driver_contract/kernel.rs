//! The drivers of the kernel's two interfaces, over TCP on loopback and over Unix sockets.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use throng::driver::epoll::{EpollDriver, Seed};
use throng::driver::uring::{self, UringDriver};
use throng::driver::{Driver, EventWaker, Listener, ListenerId, Tuning};

use crate::harness::{Harness, Peer};
use crate::log::Rest;

/// One of the two interfaces.
pub(crate) trait Interface {
    type Driver: Driver;

    fn build(tuning: Tuning) -> io::Result<Self::Driver>;

    /// Why it cannot be tried here.
    fn obstacle() -> Option<String> {
        None
    }

    fn overflows(_driver: &Self::Driver) -> Option<u32> {
        None
    }
}

pub(crate) struct Epoll;

impl Interface for Epoll {
    type Driver = EpollDriver;

    fn build(tuning: Tuning) -> io::Result<EpollDriver> {
        Ok(Seed::new()?.build(tuning))
    }
}

pub(crate) struct Uring;

impl Interface for Uring {
    type Driver = UringDriver;

    fn build(tuning: Tuning) -> io::Result<UringDriver> {
        UringDriver::new(EventWaker::new()?, tuning)
    }

    fn obstacle() -> Option<String> {
        uring::probe().err()
    }

    fn overflows(driver: &UringDriver) -> Option<u32> {
        Some(driver.overflows())
    }
}

/// Whether a kernel driver can be tried; says loudly if not, and fails where all must be.
pub(crate) fn is_usable<I: Interface>() -> bool {
    let Some(obstacle) = I::obstacle() else { return true };
    let is_required = std::env::var("THRONG_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!is_required, "io_uring cannot be tried here: {obstacle}");
    eprintln!("SKIPPED: io_uring cannot be tried here: {obstacle}");
    false
}

/// One interface, and the sockets it is tried with.
pub(crate) struct Kernel<I, const UNIX: bool> {
    address: Option<SockAddr>,
    /// Listeners may be open elsewhere too, as those of Unix are in every worker.
    shared: Vec<Socket>,
    interface: PhantomData<I>,
}

impl<I, const UNIX: bool> Kernel<I, UNIX> {
    pub(crate) fn new() -> Self {
        Self { address: None, shared: Vec::new(), interface: PhantomData }
    }
}

impl<I: Interface, const UNIX: bool> Harness for Kernel<I, UNIX> {
    type Driver = I::Driver;
    type Peer = KernelPeer;

    const BULK: usize = 1 << 20;
    const REST: Rest = Rest { waits: 2, timeout: Duration::from_millis(5) };
    const STOPS_WRITERS: bool = true;

    fn run(variants: usize, case: impl Fn(Self, usize)) {
        if is_usable::<I>() {
            (0..variants).for_each(|variant| case(Self::new(), variant));
        }
    }

    fn driver(&mut self, tuning: Tuning) -> I::Driver {
        I::build(tuning).expect("the probe has found no obstacle")
    }

    fn listen(&mut self, driver: &mut I::Driver) -> ListenerId {
        let listener = listening_socket(UNIX).expect("a free address is asked for");
        self.address = Some(listener.local_addr().expect("it is bound"));
        self.shared.push(listener.try_clone().expect("there are descriptors"));
        driver.listen(Listener::new(listener)).expect("the kernel watches listeners")
    }

    fn connect(&mut self) -> Option<KernelPeer> {
        let address = self.address.as_ref().expect("somebody listens");
        connect_to(address).map(KernelPeer::new).ok()
    }

    fn socket(&mut self) -> (OwnedFd, KernelPeer) {
        let listener = listening_socket(UNIX).expect("a free address is asked for");
        let address = listener.local_addr().expect("it is bound");
        let far = connect_to(&address).expect("it listens");
        let (near, _) = listener.accept().expect("the connect was answered");
        (near.into(), KernelPeer::new(far))
    }

    fn overflows(driver: &I::Driver) -> Option<u32> {
        I::overflows(driver)
    }
}

/// What a socket is asked to hold, so that a bulk is more than the two of a connection take.
const SOCKET_BYTES: usize = 64 * 1024;

fn listening_socket(is_unix: bool) -> io::Result<Socket> {
    let socket;
    if is_unix {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // A name that begins with a zero is no file, and ends with the socket.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("\0throng-driver-contract-{}-{number}", std::process::id());
        socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(name)?)?;
    } else {
        socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SOCKET_BYTES)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    }
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn connect_to(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    if !address.is_unix() {
        socket.set_tcp_nodelay(true)?;
        socket.set_recv_buffer_size(SOCKET_BYTES)?;
    }
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A client's socket.
pub(crate) struct KernelPeer {
    socket: Socket,
    is_ended: bool,
}

impl KernelPeer {
    fn new(socket: Socket) -> Self {
        Self { socket, is_ended: false }
    }

    fn send(&self, bytes: &[u8], flags: i32) -> usize {
        match self.socket.send_with_flags(bytes, flags | libc::MSG_NOSIGNAL) {
            Ok(count) => count,
            Err(error) => {
                let is_closed_far = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                let is_expected =
                    error.kind() == ErrorKind::WouldBlock || is_closed_far.contains(&error.kind());
                assert!(is_expected, "a peer could not write: {error}");
                0
            }
        }
    }
}

impl Peer for KernelPeer {
    fn write(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() { 0 } else { self.send(bytes, 0) }
    }

    fn write_and_finish(&mut self, bytes: &[u8]) {
        // The bytes are kept back until the FIN goes with them.
        assert_eq!(self.send(bytes, libc::MSG_MORE), bytes.len(), "a few bytes find room");
        self.finish();
    }

    fn read(&mut self, max: usize) -> Vec<u8> {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
        }
        BUFFER.with_borrow_mut(|buffer| {
            let max = max.min(buffer.len());
            let count = match (&self.socket).read(&mut buffer[..max]) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Vec::new(),
                Err(_) => 0,
            };
            self.is_ended |= count == 0;
            buffer[..count].to_vec()
        })
    }

    fn is_ended(&mut self) -> bool {
        self.is_ended
    }

    fn write_urgent(&mut self) -> bool {
        let has_urgent = self.socket.domain().is_ok_and(|domain| domain == Domain::IPV4);
        has_urgent && self.send(b"!", libc::MSG_OOB) == 1
    }

    fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("it is connected");
    }

    fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).expect("any socket may linger");
    }
}
