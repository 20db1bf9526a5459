//! The operator's port of the program, over real HTTP.

mod access;
mod batch;
mod bounds;
mod disconnecting;
mod lists;
mod probes;
mod public;
mod publishing;
mod scrapes;

use serde_json::Value;
use testkit::client::{Address, Client, Response};
use testkit::process::{Launch, Process};
use throng::config::Backend;

use crate::support::launch;

/// What the log says before the operator's address.
const PORT: &str = "operator port on http://";

/// A server with an operator's port of the kernel's choice.
pub(crate) struct Operated {
    pub(crate) process: Process,
    operator: Address,
}

/// The program with an operator's port, not yet started.
pub(crate) fn operated_launch(backend: Backend, args: &[&str]) -> Launch {
    launch(backend, args).args(["--operator", "127.0.0.1:0"])
}

impl Operated {
    pub(crate) fn start(backend: Backend, args: &[&str]) -> Self {
        Self::of(operated_launch(backend, args).start())
    }

    pub(crate) fn of(process: Process) -> Self {
        let operator = port_in(&process.log()).expect("it is told before the server is ready");
        Self { process, operator }
    }

    /// A client of the server itself.
    pub(crate) fn client(&self, path: &str) -> Client {
        Client::open(self.process.address(), path)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        request(&self.operator, "GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Response {
        request(&self.operator, "POST", path, &[], body.as_ref())
    }

    /// What a `GET` says in JSON.
    pub(crate) fn value(&self, path: &str) -> Value {
        json(&self.get(path))
    }

    /// What a `POST` says in JSON.
    pub(crate) fn call(&self, path: &str, body: impl AsRef<[u8]>) -> Value {
        json(&self.post(path, body))
    }
}

/// The operator's address, as a log tells it.
fn port_in(log: &str) -> Option<Address> {
    let line = log.lines().find(|line| line.contains(PORT))?;
    line.split(PORT).nth(1)?.trim().parse().ok()
}

/// Sends a request on a connection of its own.
fn request(
    at: &Address,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let has_host = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if has_host { String::new() } else { format!("Host: {at}\r\n") };
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\n{host}{fields}Content-Length: {length}\r\n\r\n");
    let mut client = Client::connect(at).expect("the operator's port listens");
    client.write(&[head.as_bytes(), body].concat());
    client.response()
}

fn json(response: &Response) -> Value {
    let text = String::from_utf8_lossy(&response.body);
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {text}"))
}
