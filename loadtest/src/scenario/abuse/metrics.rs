//! What the operator's port counts of refusals and ends, read before and after.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::target::Url;

/// A page of metrics that is longer is not read to its end.
const PAGE_BYTES_MAX: u64 = 8 << 20;

/// How long the port may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a port may refuse everybody that opens behind that of the clients.
const START_MAX: Duration = Duration::from_secs(5);

/// Under which name something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// Refused as a request or a connection.
    Refused(&'static str),
    /// Ended as a WebSocket connection.
    Closed(&'static str),
    /// Not read for a while.
    ReadsPaused,
}

/// The operator's port.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    url: Url,
    headers: Vec<String>,
}

/// All that was counted, by the name with its labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(BTreeMap<String, f64>);

impl Reason {
    /// What it is called in a report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Refused(name) | Self::Closed(name) => name,
            Self::ReadsPaused => "reads_paused",
        }
    }

    fn sample(self) -> String {
        match self {
            Self::Refused(name) => format!("throng_refused_total{{reason=\"{name}\"}}"),
            Self::Closed(name) => format!("throng_websockets_closed_total{{reason=\"{name}\"}}"),
            Self::ReadsPaused => "throng_reads_paused_total".to_owned(),
        }
    }
}

impl Operator {
    pub(super) fn new(url: &str, headers: &[String]) -> Result<Self, String> {
        let url = Url::parse(url, "http")?;
        Ok(Self { url: Url { path: "/metrics".into(), ..url }, headers: headers.to_vec() })
    }

    /// Reads all counts of a server that may have begun to start only now.
    pub(super) fn read_first(&self) -> Result<Counts, String> {
        let begin = Instant::now();
        loop {
            match self.read() {
                Err(_) if begin.elapsed() < START_MAX => std::thread::sleep(START_MAX / 50),
                result => return result,
            }
        }
    }

    /// Reads all counts.
    pub(super) fn read(&self) -> Result<Counts, String> {
        let page = self
            .get()
            .map_err(|error| format!("http://{}/metrics: {error}", self.url.authority))?;
        Ok(Counts::parse(&page))
    }

    fn get(&self) -> Result<String, String> {
        let describe = |error: std::io::Error| error.to_string();
        let address = self.url.resolve()?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(describe)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(describe)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(describe)?;
        // Version 1.0: the body ends with the connection, and is in no chunks.
        let mut request =
            format!("GET {} HTTP/1.0\r\nHost: {}\r\n", self.url.path, self.url.authority);
        for header in &self.headers {
            request += &format!("{header}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes()).map_err(describe)?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).map_err(describe)?;
        let page = String::from_utf8_lossy(&page);
        let (head, body) = page.split_once("\r\n\r\n").ok_or("no response of HTTP")?;
        match head.split_ascii_whitespace().nth(1) {
            Some("200") => Ok(body.to_owned()),
            Some("401" | "403") => {
                Err("a key is needed: --operator-header 'Authorization: Bearer KEY'".into())
            }
            status => Err(format!("status {}", status.unwrap_or("unknown"))),
        }
    }
}

impl Counts {
    /// Samples of several workers are added up.
    fn parse(page: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let name = match name.split_once("{worker=") {
                Some((name, _)) => name,
                None => name,
            };
            *counts.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
        }
        Self(counts)
    }

    /// How much a count has grown; `None` if there is no such count.
    pub(super) fn since(&self, before: &Self, reason: Reason) -> Option<f64> {
        let name = reason.sample();
        let now = self.0.get(&name)?;
        Some(now - before.0.get(&name).copied().unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_reason_and_summed_over_workers() {
        let before = Counts::parse("throng_refused_total{reason=\"origin\"} 2\n");
        let page = "# HELP a b\nthrong_refused_total{reason=\"origin\"} 7\n\
                    throng_refused_total{reason=\"memory\"} 1\n\
                    throng_websockets_closed_total{reason=\"origin\"} 100\n\
                    throng_reads_paused_total{worker=\"0\"} 3\n\
                    throng_reads_paused_total{worker=\"1\"} 4\n";
        let after = Counts::parse(page);
        assert_eq!(after.since(&before, Reason::Refused("origin")), Some(5.0));
        assert_eq!(after.since(&before, Reason::Refused("memory")), Some(1.0));
        assert_eq!(after.since(&before, Reason::Closed("origin")), Some(100.0));
        assert_eq!(after.since(&before, Reason::ReadsPaused), Some(7.0));
        assert_eq!(after.since(&before, Reason::Refused("other")), None);
    }
}
