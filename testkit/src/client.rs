//! One client on a blocking socket, which sees every byte.
//!
//! It knows WebSocket frames but keeps no rule: it sends what it is told to send, and reads what
//! comes without answering.

#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

mod frames;

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

pub use frames::{Form, Frame, Shape, binary, close, frames, ping, pong, text};

use frames::parse;
use socket2::{Domain, SockAddr, Socket, Type};

/// How long an answer may take that must come; a busy machine is no fault of the server.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The key of the example in RFC 6455, 1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// A connection. What was read and not asked for yet is kept.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    bytes: Vec<u8>,
    taken: usize,
}

/// What came of waiting for a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A whole frame.
    Frame(Frame),
    /// No whole frame in time.
    Silence,
    /// The server has finished, with this many bytes of an unfinished frame before.
    Fin(usize),
    /// The server has reset the connection.
    Reset,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By a FIN.
    Fin,
    /// By a reset.
    Reset,
    /// Not at all.
    Open,
}

/// What was read until the end.
#[derive(Clone, Debug)]
pub struct Rest {
    /// Bytes that had not been read before.
    pub bytes: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// How long that took.
    pub took: Duration,
}

/// A response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status line and fields, as sent.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| format!("no address: {text}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl Client {
    /// Connects and sends nothing.
    ///
    /// # Errors
    ///
    /// What connect(2) says.
    pub fn connect(address: &Address) -> io::Result<Self> {
        Self::connect_with(address, None)
    }

    /// Connects from an address of this host, which need not be set up if it is routed here.
    ///
    /// # Errors
    ///
    /// What bind(2) and connect(2) say.
    pub fn connect_from(source: IpAddr, address: &Address) -> io::Result<Self> {
        Self::connect_as(address, None, Some(source))
    }

    /// Connects with a receive buffer of about that many bytes: a slow reader.
    ///
    /// # Errors
    ///
    /// What connect(2) says.
    pub fn connect_with(address: &Address, receive_bytes: Option<usize>) -> io::Result<Self> {
        Self::connect_as(address, receive_bytes, None)
    }

    fn connect_as(
        address: &Address,
        receive_bytes: Option<usize>,
        source: Option<IpAddr>,
    ) -> io::Result<Self> {
        let (domain, name) = match address {
            Address::Tcp(tcp) => (Domain::for_address(*tcp), SockAddr::from(*tcp)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(source) = source {
            if source.is_ipv6() {
                socket.set_freebind_v6(true)?;
            }
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&name)?;
        if domain != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self { socket, bytes: Vec::new(), taken: 0 })
    }

    /// Connects and opens a WebSocket.
    ///
    /// # Panics
    ///
    /// If the server does not accept it.
    #[must_use]
    pub fn open(address: &Address, path: &str) -> Self {
        Self::open_with(address, path, &[]).0
    }

    /// As [`Client::open`], with further lines in the head; gives the response too.
    ///
    /// # Panics
    ///
    /// If the server does not accept it.
    #[must_use]
    pub fn open_with(address: &Address, path: &str, lines: &[&str]) -> (Self, Response) {
        let mut client = Self::connect(address).expect("the server listens");
        let response = client.upgrade(path, lines);
        (client, response)
    }

    /// Opens a WebSocket on this connection.
    ///
    /// # Panics
    ///
    /// If the server does not accept it.
    pub fn upgrade(&mut self, path: &str, lines: &[&str]) -> Response {
        self.write(handshake(path, lines).as_bytes());
        let response = self.response();
        assert_eq!(response.status, 101, "{}", response.head);
        assert_eq!(response.field("Sec-WebSocket-Accept"), Some(ACCEPT), "{}", response.head);
        response
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If the connection is broken.
    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).expect("the server takes bytes");
    }

    /// Sends bytes, or says why not.
    ///
    /// # Errors
    ///
    /// If the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.set_write_timeout(Some(Duration::from_secs(60)))?;
        self.socket.write_all(bytes)
    }

    /// Sends bytes in pieces of these lengths, and what is left as the last; between two pieces
    /// there is time for the server to receive the first.
    ///
    /// # Panics
    ///
    /// If the connection is broken.
    pub fn write_in_pieces(&mut self, mut bytes: &[u8], lengths: &[usize]) {
        for length in lengths {
            let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
            self.write(piece);
            thread::sleep(Duration::from_millis(2));
            bytes = rest;
        }
        self.write(bytes);
    }

    /// Sends a FIN; reading goes on.
    pub fn finish(&self) {
        // A server that was quicker is no fault.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Ends with a reset.
    pub fn reset(self) {
        self.socket.set_linger(Some(Duration::ZERO)).expect("a socket knows SO_LINGER");
    }

    /// A second handle, to write from another thread.
    ///
    /// # Panics
    ///
    /// If there are no descriptors left.
    #[must_use]
    pub fn writer(&self) -> Self {
        let socket = self.socket.try_clone().expect("there are descriptors left");
        Self { socket, bytes: Vec::new(), taken: 0 }
    }

    /// The next response with its body.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub fn response(&mut self) -> Response {
        self.read_response(false)
    }

    /// The next response, to a HEAD.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub fn response_to_head(&mut self) -> Response {
        self.read_response(true)
    }

    /// The next response, or how the connection ended before one was whole.
    ///
    /// # Errors
    ///
    /// The end, or [`End::Open`] if nothing came in time.
    pub fn try_response(&mut self, is_head: bool, within: Duration) -> Result<Response, End> {
        let until = Instant::now() + within;
        let length = loop {
            if let Some(at) = find(self.unread(), b"\r\n\r\n") {
                break at + 4;
            }
            self.fill(until)?;
        };
        let head = String::from_utf8_lossy(&self.unread()[..length]).into_owned();
        self.taken += length;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut response = Response { status, head, body: Vec::new() };
        let declared = response.field("Content-Length").and_then(|field| field.parse().ok());
        let body = if is_head { 0 } else { declared.unwrap_or(0) };
        while self.unread().len() < body {
            self.fill(until)?;
        }
        response.body = self.unread()[..body].to_vec();
        self.taken += body;
        Ok(response)
    }

    /// The next frame.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub fn frame(&mut self) -> Frame {
        match self.frame_within(PATIENCE) {
            Got::Frame(frame) => frame,
            other => panic!("a frame was expected, but: {other:?}"),
        }
    }

    /// The next frame, if it comes in time.
    pub fn frame_within(&mut self, within: Duration) -> Got {
        let until = Instant::now() + within;
        loop {
            if let Some((frame, length)) = parse(self.unread()) {
                self.taken += length;
                return Got::Frame(frame);
            }
            match self.fill(until) {
                Ok(()) => {}
                Err(End::Open) => return Got::Silence,
                Err(End::Fin) => return Got::Fin(self.unread().len()),
                Err(End::Reset) => return Got::Reset,
            }
        }
    }

    /// Reads a close frame and gives its code; 1005 if it has none.
    ///
    /// # Panics
    ///
    /// If anything else comes.
    pub fn close_code(&mut self) -> u16 {
        let frame = self.frame();
        frame.close_code().unwrap_or_else(|| panic!("a close frame was expected: {frame:?}"))
    }

    /// Reads until the end, without sending a FIN of its own.
    pub fn rest(&mut self, within: Duration) -> Rest {
        let begin = Instant::now();
        let end = loop {
            match self.fill(begin + within) {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        let bytes = self.unread().to_vec();
        self.taken += bytes.len();
        Rest { bytes, end, took: begin.elapsed() }
    }

    /// Reads what has come, without asking what it is; what it gives is not given again.
    ///
    /// # Errors
    ///
    /// The end, or [`End::Open`] if nothing came in time.
    pub fn some(&mut self, within: Duration) -> Result<Vec<u8>, End> {
        if self.unread().is_empty() {
            self.fill(Instant::now() + within)?;
        }
        let bytes = self.unread().to_vec();
        self.taken += bytes.len();
        Ok(bytes)
    }

    fn read_response(&mut self, is_head: bool) -> Response {
        let response = self.try_response(is_head, PATIENCE);
        response.unwrap_or_else(|end| panic!("a response was expected, but: {end:?}"))
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    fn fill(&mut self, until: Instant) -> Result<(), End> {
        if self.taken > 0 && self.taken * 2 >= self.bytes.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let mut piece = [0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(End::Open);
            }
            // The kernel rounds down to its own ticks, and zero would mean for ever.
            let left = left.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).expect("a time above zero is valid");
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(End::Fin),
                Ok(length) => {
                    self.bytes.extend_from_slice(&piece[..length]);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => return Err(End::Reset),
                    _ => panic!("reading failed: {error}"),
                },
            }
        }
    }
}

impl Response {
    /// The value of a field that stands at most once.
    ///
    /// # Panics
    ///
    /// If it stands more than once.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = values.next()?.1;
        assert!(values.next().is_none(), "{name} stands twice:\n{}", self.head);
        Some(value)
    }
}

/// The head of a good opening handshake with further lines.
#[must_use]
pub fn handshake(path: &str, lines: &[&str]) -> String {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: throng.test\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
