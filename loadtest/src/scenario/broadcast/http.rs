//! Publishing by HTTP, for servers whose clients do not publish: one POST after the other on one
//! connection that is kept open.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ledger::MESSAGES_MAX;
use crate::target::Url;

/// The longest body of a response that is read to keep the connection.
const RESPONSE_BYTES_MAX: u64 = 1 << 20;

/// Where bodies go to be posted. They leave in order; a copy leads to the same thread.
#[derive(Clone, Debug)]
pub(crate) struct HttpOutlet {
    bodies: Sender<Vec<u8>>,
    failures: Arc<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    count: AtomicU64,
    first: Mutex<Option<String>>,
}

struct Poster {
    address: SocketAddr,
    /// The head of each request but for the length of its body.
    head: String,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

impl HttpOutlet {
    /// Starts the thread that posts; it ends with the last copy of this.
    pub(crate) fn start(url: &Url, headers: &[String], timeout: Duration) -> Result<Self, String> {
        let mut head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", url.path, url.authority);
        for header in headers {
            head += &format!("{header}\r\n");
        }
        let mut poster = Poster { address: url.resolve()?, head, timeout, connection: None };
        let (bodies, waiting): (_, Receiver<Vec<u8>>) = bounded(MESSAGES_MAX as usize);
        let failures = Arc::<Failures>::default();
        let noted = Arc::clone(&failures);
        let post_all = move || {
            for body in waiting {
                if let Err(why) = poster.post(&body) {
                    // The next one begins with a fresh connection.
                    poster.connection = None;
                    noted.note(why);
                }
            }
        };
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(post_all);
        thread.map_err(|error| error.to_string())?;
        Ok(Self { bodies, failures })
    }

    /// Whether a group of messages can be posted now.
    pub(crate) fn has_room(&self, messages: u64) -> bool {
        self.bodies.len() as u64 + messages <= MESSAGES_MAX
    }

    /// Posts a body when those before it were answered. There must be room.
    pub(crate) fn post(&self, body: &[u8]) {
        self.bodies.try_send(body.to_vec()).expect("the publisher is the only one that posts");
    }

    /// How many posts have failed, and why the first one did.
    pub(crate) fn failures(&self) -> Option<(u64, String)> {
        let first = self.failures.first.lock().expect("no holder panics").clone()?;
        Some((self.failures.count.load(Ordering::Relaxed), first))
    }
}

impl Failures {
    fn note(&self, why: String) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.first.lock().expect("no holder panics").get_or_insert(why);
    }
}

impl Poster {
    fn post(&mut self, body: &[u8]) -> Result<(), String> {
        let describe = |error: io::Error| format!("posting: {error}");
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().map_err(describe)?,
        };
        let mut request =
            format!("{}Content-Length: {}\r\n\r\n", self.head, body.len()).into_bytes();
        request.extend_from_slice(body);
        connection.get_mut().write_all(&request).map_err(describe)?;
        let (status, may_stay) = read_response(&mut connection).map_err(describe)?;
        if may_stay {
            self.connection = Some(connection);
        }
        if (200..300).contains(&status) { Ok(()) } else { Err(format!("posting: status {status}")) }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::new(stream))
    }
}

/// Reads a response to its end: its status, and whether the connection can be used again, which it
/// only is where the length of the body was told.
fn read_response(stream: &mut impl BufRead) -> io::Result<(u16, bool)> {
    let mut line = String::new();
    let mut read_line = |stream: &mut dyn BufRead| {
        line.clear();
        match stream.take(RESPONSE_BYTES_MAX).read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok::<_, io::Error>(line.trim_end().to_owned()),
        }
    };
    let first = read_line(stream)?;
    let status = first.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("not a response of HTTP"))?;
    let (mut length, mut is_closing) = (None, false);
    loop {
        let line = read_line(stream)?.to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse::<u64>().ok(),
            Some(("connection", value)) => is_closing = value.trim() == "close",
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let length = if status == 204 { Some(0) } else { length };
    let Some(length) = length.filter(|length| *length <= RESPONSE_BYTES_MAX) else {
        return Ok((status, false));
    };
    let read = io::copy(&mut stream.take(length), &mut io::sink())?;
    Ok((status, !is_closing && read == length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (u16, bool, usize) {
        let mut bytes = text.as_bytes();
        let (status, may_stay) = read_response(&mut bytes).expect("it is a response");
        (status, may_stay, bytes.len())
    }

    #[test]
    fn responses_are_read_to_their_end() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP"), (200, true, 4));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), (204, true, 0));
        assert_eq!(read("HTTP/1.1 500 No\r\n\r\n"), (500, false, 0));
        let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(closing), (200, false, 0));
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for bad in ["", "HTTP/1.1", "HTTP/1.1 200 OK\r\n"] {
            assert!(read_response(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
