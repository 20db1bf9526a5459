//! Who the client is, where proxies say so: in the API and in the log.

mod fields;
mod headers;
mod through;

use std::net::IpAddr;

use testkit::client::{Address, Client};
use throng::config::Backend;

use crate::operator::{Operated, operated_launch};
use crate::support::{PATIENCE, comes_to_hold};

/// Where a proxy that is trusted connects from.
const PROXY: &str = "127.0.0.2";

/// Where anybody else does.
const STRANGER: &str = "127.0.0.77";

/// A server that trusts some, with an operator's port, which logs all requests.
fn trusting(backend: Backend, trusted: &str, proxy_protocol: bool, args: &[&str]) -> Operated {
    let args = [&["--trusted-proxies", trusted, "--workers", "2"], args].concat();
    let launch = operated_launch(backend, &args)
        .env("THRONG_LOG_ACCESS", "on")
        .env("THRONG_PROXY_PROTOCOL", &proxy_protocol.to_string());
    Operated::of(launch.start())
}

fn connect(from: &str, to: &Address) -> Client {
    let from: IpAddr = from.parse().expect("it is an address");
    Client::connect_from(from, to).expect("it listens")
}

/// Where the only client in a room comes from, as the API has it.
fn address_in(server: &Operated, room: &str) -> String {
    let list = server.value(&format!("/api/connections?room={room}"));
    let list = list["connections"].as_array().expect("it is a list");
    assert_eq!(list.len(), 1, "{room}: {list:?}");
    list[0]["address"].as_str().expect("it is connected").to_owned()
}

/// Waits for a line of the access log about a path: whose request it was.
fn client_of(server: &Operated, path: &str) -> String {
    let word = format!("path=\"{path}\"");
    let line = || server.process.log().lines().find(|line| line.contains(&word)).map(str::to_owned);
    assert!(comes_to_hold(|| line().is_some()), "{path}:\n{}", server.process.log());
    let line = line().expect("it was there");
    let client = line.split("client=").nth(1).and_then(|rest| rest.split(' ').next());
    client.unwrap_or_else(|| panic!("no client: {line}")).to_owned()
}

/// How often somebody was refused for the sake of a header.
fn refused_headers(server: &Operated) -> u64 {
    let scrape = String::from_utf8(server.get("/metrics").body).expect("it is text");
    let line =
        scrape.lines().find(|line| line.starts_with("throng_refused_total{reason=\"proxy_h"));
    let value = line.and_then(|line| line.rsplit(' ').next()).expect("it is counted");
    value.parse().expect("it is a number")
}

/// The last that comes: a response that closes, with this status and these words.
fn expect_refusal(client: &mut Client, status: u16, words: &str) {
    let response = client.response();
    let body = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, status, "{body}");
    assert!(body.contains(words), "{body:?} has {words:?}");
    assert_eq!(response.field("Connection"), Some("close"));
    assert_eq!(client.rest(PATIENCE).end, testkit::client::End::Fin);
}
