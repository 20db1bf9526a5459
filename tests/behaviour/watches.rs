//! A kernel that watches no more descriptors (fs.epoll.max_user_watches): strace plays it, as the
//! bound is that of the whole host.

use std::fs;
use std::process::Command;

use testkit::client::{Client, text};
use throng::config::Backend;

use crate::support::{Scratch, launch, ms, skip};

/// After the listener and one connection, three times in a row, of each thread.
const NO_ROOM: &str = "inject=epoll_ctl:error=ENOSPC:when=3..5";

#[test]
fn without_watches_accepting_rests_and_says_so_once() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("no strace here; install with: scripts/install-test-tools.sh");
    }
    let scratch = Scratch::new();
    let calls = scratch.path().join("calls").display().to_string();
    let strace = ["strace", "-D", "-f", "-e", "trace=epoll_ctl", "-e", NO_ROOM, "-o", &calls];
    let server = launch(Backend::Epoll, &["--workers", "1"]).wrapped(strace).start();
    // The first has the last watch; the second is accepted and waits with those behind it.
    let mut clients: [Client; 6] = crate::support::clients(server.address(), "/room/a");
    clients[0].write(&text("nobody was lost"));
    for client in &mut clients {
        assert_eq!(client.frame().payload, b"nobody was lost");
    }
    assert!(server.wait_for_log("fs.epoll.max_user_watches", ms(10_000)));
    let log = server.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let failed = fs::read_to_string(calls).expect("strace writes it");
    assert_eq!(failed.matches("ENOSPC").count(), 3, "{failed}");
}
