//! Without pings it is TCP that ends those who are gone.

use std::fs;

use testkit::client::Client;
use throng::config::Backend;

use crate::support::{comes_to_hold, server};

on_both!(tcp_asks_for_life_where_the_server_does_not);

/// Which timer runs for the server's end of its connections, as /proc/net/tcp has it.
fn timers(port: u16) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/tcp").expect("proc(5)");
    let own = format!(":{port:04X}");
    let lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let established = lines.filter(|words| words[1].ends_with(&own) && words[3] == "01");
    established.map(|words| words[5][..2].to_owned()).collect()
}

fn tcp_asks_for_life_where_the_server_does_not(backend: Backend) {
    const NONE: &str = "00";
    const KEEPALIVE: &str = "02";
    for (interval, timer) in [("0", KEEPALIVE), ("1h", NONE)] {
        let server = server(backend, &["--ping-interval", interval, "--workers", "2"]);
        // So many that every worker has some.
        let _clients = [(); 12].map(|()| Client::open(server.address(), "/echo"));
        // What was sent is acknowledged a little later.
        let are_right = || timers(server.port()) == [timer; 12];
        assert!(comes_to_hold(are_right), "{:?}", timers(server.port()));
    }
}
