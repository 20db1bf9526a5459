//! `throng health`: asks a server over HTTP whether it is well, for containers without a shell.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// What one step of the conversation may take; a status line that comes byte by byte is bounded
/// by its length.
const PATIENCE: Duration = Duration::from_secs(3);

/// More than any status line of ours.
const STATUS_LINE_MAX: u64 = 256;

/// Where to ask: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// With the port.
    authority: String,
    path: String,
}

/// Why a server is not well, or cannot be asked.
#[derive(Debug)]
enum Fault {
    Unreachable(io::Error),
    Silent(io::Error),
    NotHttp(String),
    Status(u16),
}

impl Url {
    /// From what an operator wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wanted = "a URL like http://127.0.0.1:8080/ is needed";
        let rest = text.strip_prefix("http://").ok_or(wanted)?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let is_plain = |c: char| c.is_ascii_graphic();
        if authority.is_empty() || authority.contains('@') || !rest.chars().all(is_plain) {
            return Err(wanted.into());
        }
        // The colons in the brackets of an IPv6 address introduce no port.
        let behind_address = authority.rsplit(']').next().unwrap_or_default();
        let has_port = behind_address.contains(':');
        let port = if has_port { "" } else { ":80" };
        Ok(Self { authority: format!("{authority}{port}"), path: path.to_owned() })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "nobody can be reached: {error}"),
            Self::Silent(error) => write!(f, "no answer: {error}"),
            Self::NotHttp(line) => write!(f, "this is no HTTP: {line:?}"),
            Self::Status(status) => write!(f, "it answers {status}"),
        }
    }
}

/// Succeeds if the server answers with a status of success.
pub(crate) fn check(url: &Url) -> ExitCode {
    match ask(url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Where standard error is broken the exit code says enough.
            let _ = writeln!(io::stderr(), "throng: {url}: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn ask(url: &Url) -> Result<(), Fault> {
    let mut stream = connect(&url.authority).map_err(Fault::Unreachable)?;
    let line = exchange(&mut stream, url).map_err(Fault::Silent)?;
    match status(&line) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(Fault::Status(status)),
        None => Err(Fault::NotHttp(line)),
    }
}

/// To the first address of the name that takes a connection.
fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends the request, and gives the first line of what comes.
fn exchange(stream: &mut TcpStream, url: &Url) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Url { authority, path } = url;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut line = Vec::new();
    BufReader::new(stream.take(STATUS_LINE_MAX)).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_port_and_a_path_however_short_it_is() {
        for (text, whole) in [
            ("http://a", "http://a:80/"),
            ("http://a:1", "http://a:1/"),
            ("http://[::1]", "http://[::1]:80/"),
            ("http://[::1]:8081/ready?x", "http://[::1]:8081/ready?x"),
            ("http://a/b", "http://a:80/b"),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.to_string()), Ok(whole.to_owned()));
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "a:80", "https://a", "http://", "http:///a", "http://a b", "http://a@b"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_status_stands_in_the_first_line_only() {
        assert_eq!(status("HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status("HTTP/1.0 503"), Some(503));
        for line in ["", "HTTP/1.1", "HTTP/2 200", "SSH-2.0 200"] {
            assert_eq!(status(line), None, "{line}");
        }
    }
}
