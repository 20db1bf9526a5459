//! Rules about what may stand where.

use crate::Check;
use crate::source::{Finding, Source, find_words, line_of};

pub(crate) static CHECKS: &[Check] = &[
    Check {
        what: "a module names only those on floors below its own",
        run: floor_edges,
        bad: &[
            ("src/wire/a.rs", "use crate::websocket::Session;"),
            ("src/http/mod.rs", "use crate::{limits, websocket::Session};"),
            ("src/hub/mod.rs", "fn a() { crate::driver::epoll::b() }"),
            ("src/protocol/a.rs", "use crate::driver::Driver;"),
            ("src/worker/mod.rs", "use crate::server::Server;"),
            ("src/server/mod.rs", "use crate::doctor::Host;"),
        ],
        good: &[
            ("src/worker/mod.rs", "use crate::{driver::Driver, hub::Hub, id::ConnId};"),
            ("src/protocol/a.rs", "use crate::http::{Request, Response};"),
            ("src/wire/a.rs", "use crate::wire::frame;\n// crate::server"),
        ],
    },
    Check {
        what: "the program names config, server and doctor of the library, as an embedder would",
        run: |source| strays(source, "cli/src/", &OF_PROGRAM),
        bad: &[
            ("cli/src/main.rs", "use throng::worker::Worker;"),
            ("cli/src/a.rs", "use throng::{config::Config, driver};"),
        ],
        good: &[
            ("cli/src/main.rs", "use throng::{config::Config, doctor};"),
            ("tests/a.rs", "use throng::worker::Worker;"),
        ],
    },
    Check {
        what: "the operator's port names of the library what a program outside would, to watch \
               and to ask: config, server, stats, names, limits, and the types of questions",
        run: |source| strays(source, "control/src/", &OF_CONTROL),
        bad: &[
            ("control/src/a.rs", "use throng::protocol::Context;"),
            ("control/src/api/a.rs", "use throng::{server::Monitor, outgoing};"),
        ],
        good: &[("control/src/a.rs", "use throng::worker::Inquiry; use axum::http::Method;")],
    },
    Check {
        what: "the runtime and what stands on it are the operator's port's: neither the library \
               nor the program names them",
        run: |source| {
            let words = ["tokio", "axum", "hyper", "prometheus"].map(|name| format!("{name}::"));
            let findings = words.iter().flat_map(|word| outside(source, &[], &[word]));
            findings.collect()
        },
        bad: &[
            ("src/server/a.rs", "use tokio::sync::oneshot;"),
            ("cli/src/main.rs", "axum::Router::new();"),
        ],
        good: &[("control/src/a.rs", "use tokio::sync::oneshot;")],
    },
    Check {
        what: "workers on the built-in list are compiled once, in the library: where a test needs \
               one that no server starts, its folder is named here",
        run: workers_outside,
        bad: &[
            ("tests/behaviour/a.rs", "Server::start_with::<Builtin>(config, setups)"),
            ("tests/load/a.rs", "Worker::new(driver, shared)"),
        ],
        good: &[
            ("tests/behaviour/a.rs", "Server::start(config); Server::start_with::<Ours>(a, b)"),
            ("tests/simulation/a.rs", "Worker::new(driver, shared)"),
        ],
    },
    Check {
        what: "a module of the library has its floor in the list of this file",
        run: |source| {
            let is_placed = module_of(source)
                .is_none_or(|module| floor(module).is_some() || UNPLACED.contains(&module));
            let detail = "on no floor".to_owned();
            if is_placed { Vec::new() } else { vec![Finding { line: 1, detail }] }
        },
        bad: &[("src/metrics.rs", "//! a"), ("src/metrics/mod.rs", "//! a")],
        good: &[
            ("cli/src/metrics.rs", "//! a"),
            ("src/worker/metrics.rs", "//! a"),
            ("tests/metrics.rs", "//! a"),
        ],
    },
    Check {
        what: "name it from crate:: down, so that floors can be seen",
        run: |source| within(source, &["src/"], &["super::super::"]),
        bad: &[("src/wire/a.rs", "use super::super::server::Server;")],
        good: &[("src/wire/a.rs", "pub(in super::super) const A: u8 = 1;")],
    },
    Check {
        // io_uring's floor must be measured on io_uring, and an allocator that counts is one.
        what: "unsafe code stands under src/driver/uring; one call in src/wire/vectors.rs; one \
               setting in cli/src/allocator.rs; one call in src/server/close_range.rs; under \
               loadtest/src/floor/uring; and in \
               tests/allocations/counting.rs",
        run: |source| {
            let rooms = [
                "src/driver/uring/",
                "src/wire/vectors.rs",
                "cli/src/allocator.rs",
                "src/server/close_range.rs",
                "loadtest/src/floor/uring/",
                "tests/allocations/counting.rs",
            ];
            let is_room = source.is_under(&rooms);
            if is_room { Vec::new() } else { find_words(&source.code, "unsafe") }
        },
        bad: &[
            ("src/driver/epoll/mod.rs", "unsafe { a() }"),
            ("src/wire/mask.rs", "unsafe { a() }"),
            ("src/server/mod.rs", "unsafe { a() }"),
            ("tests/a.rs", "unsafe fn a() {}"),
            ("tests/allocations/main.rs", "unsafe fn a() {}"),
            ("loadtest/src/floor/mod.rs", "unsafe { a() }"),
        ],
        good: &[
            ("src/driver/uring/a.rs", "unsafe { a() }"),
            ("loadtest/src/floor/uring/a.rs", "unsafe { a() }"),
            ("tests/allocations/counting.rs", "unsafe { a() }"),
            ("src/a.rs", "// unsafe"),
        ],
    },
    Check {
        what: "libraries and program deny unsafe code; the folder above a room of it allows it",
        run: |source| {
            let is_denied = source.code.contains("#![deny(unsafe_code)]");
            let permits = source.code.contains("allow(unsafe_code");
            let parents = [
                "src/driver/mod.rs",
                "src/wire/mod.rs",
                "cli/src/allocator.rs",
                "src/server/mod.rs",
                "loadtest/src/floor/mod.rs",
                "tests/allocations/main.rs",
            ];
            let may_permit = source.is_under(&parents);
            let roots =
                ["src/lib.rs", "cli/src/main.rs", "control/src/lib.rs", "loadtest/src/lib.rs"];
            let is_root = roots.contains(&source.path.as_str());
            let is_bad = is_root && !is_denied || permits && !may_permit;
            let detail = "unsafe_code".to_owned();
            is_bad.then_some(Finding { line: 1, detail }).into_iter().collect()
        },
        bad: &[
            ("src/lib.rs", "mod a;"),
            ("cli/src/main.rs", "mod a;"),
            ("control/src/lib.rs", "mod a;"),
            ("loadtest/src/lib.rs", "mod a;"),
            ("src/hub/mod.rs", "#![allow(unsafe_code, reason = \"none\")]"),
        ],
        good: &[
            ("src/lib.rs", "#![deny(unsafe_code)]"),
            ("loadtest/src/floor/mod.rs", "#[allow(unsafe_code, reason = \"a\")] mod uring;"),
        ],
    },
    Check {
        what: "addresses and sockets belong to config, server and driver, and to the program's \
               client that asks after a server's health",
        run: |source| {
            let rooms = [
                "src/config/",
                "src/server/",
                "src/driver/",
                "cli/src/health.rs",
                // Addresses of clients, as values: whom headers name, and who is counted.
                "src/wire/proxy.rs",
                "src/http/forwarded.rs",
                "src/worker/limits/",
                "src/worker/ingress/proxy.rs",
            ];
            outside(source, &rooms, &["std::net", "socket2"])
        },
        bad: &[("src/worker/a.rs", "use std::net::TcpStream;")],
        good: &[("src/server/a.rs", "use std::net::SocketAddr;"), ("tests/a.rs", "use std::net;")],
    },
    Check {
        what: "time is an argument: only driver/clock.rs reads it, and nothing but a driver \
               sleeps, or server/patience.rs before there is anybody to serve",
        run: |source| {
            let clocks =
                outside(source, &["src/driver/clock.rs"], &["Instant::now", "SystemTime::now"]);
            let sleeps = outside(source, &["src/server/patience.rs"], &["thread::sleep"]);
            clocks.into_iter().chain(sleeps).collect()
        },
        bad: &[
            ("src/websocket/a.rs", "let a = Instant::now();"),
            ("src/server/patience.rs", "let a = Instant::now();"),
            ("src/server/a.rs", "thread::sleep(a);"),
        ],
        good: &[("src/websocket/a.rs", "fn a(now: Instant) {}")],
    },
    Check {
        what: "only server starts threads, and the program one that writes its log",
        run: |source| {
            // What all workers share without a lock is tried by several threads at once.
            let tests = "src/worker/limits/addresses_tests.rs";
            let rooms = ["src/server/", "cli/src/log.rs", tests];
            outside(source, &rooms, &["std::thread", "thread::spawn"])
        },
        bad: &[
            ("src/worker/a.rs", "std::thread::spawn(a);"),
            ("cli/src/main.rs", "use std::thread;"),
        ],
        good: &[("src/server/a.rs", "use std::thread;")],
    },
    Check {
        what: "only server and doctor read files, and the program those with its options; what \
               they find is an argument of the others",
        run: |source| outside(source, &FILE_READERS, &["std::fs"]),
        bad: &[("src/worker/a.rs", "use std::fs;")],
        good: &[("src/doctor/a.rs", "use std::fs;")],
    },
    Check {
        what: "this floor does no I/O and has no randomness: both are arguments",
        run: |source| {
            let floor = ["wire/", "http/", "websocket/", "tls/", "hub/", "protocol/"];
            let floor = floor.map(|module| format!("src/{module}"));
            let floor: Vec<&str> = floor.iter().map(String::as_str).collect();
            let words = ["std::io", "std::fs", "std::os", "std::env", "rand", "getrandom"];
            within(source, &floor, &words)
        },
        bad: &[("src/hub/a.rs", "use std::fs;"), ("src/wire/a.rs", "use std::io::Read;")],
        good: &[("src/hub/a.rs", "use std::sync::Arc;"), ("src/driver/a.rs", "use std::io;")],
    },
    Check {
        what: "a dependency is named in its room only",
        run: |source| {
            let strays = |(name, rooms): &(&str, &[&str])| {
                let found = outside(source, rooms, &[&format!("{name}::")]);
                found.into_iter().chain(outside(source, rooms, &[&format!("use {name}")]))
            };
            DEPENDENCIES.iter().flat_map(strays).collect()
        },
        bad: &[
            ("src/worker/a.rs", "use io_uring::IoUring;"),
            ("src/http/a.rs", "flate2::Compress::new();"),
            ("src/server/a.rs", "use mio::Poll;"),
        ],
        good: &[("src/driver/uring/a.rs", "use io_uring::IoUring;"), ("tests/a.rs", "use mio;")],
    },
];

/// Where files are opened; the simulator makes descriptors out of /dev/null.
const FILE_READERS: [&str; 5] = [
    "src/server/",
    "src/doctor/",
    "src/driver/sim/",
    "cli/src/options/file.rs",
    "cli/src/options/tests/",
];

/// Which part of the library and of its program may name which crate.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("io_uring", &["src/driver/uring/"]),
    // Numbers of the environment become owned descriptors there without unsafe code of ours.
    ("listenfd", &["src/server/activation/"]),
    ("mio", &["src/driver/epoll/"]),
    ("clap", &["cli/src/command_line/", "cli/src/manual.rs"]),
    ("clap_complete", &["cli/src/command_line/", "cli/src/manual.rs"]),
    ("clap_mangen", &["cli/src/manual.rs"]),
    ("toml", &["cli/src/options/"]),
    ("flate2", &["src/wire/deflate.rs"]),
    ("httparse", &["src/wire/head.rs"]),
    ("sha1", &["src/wire/accept.rs"]),
    ("base64", &["src/wire/accept.rs"]),
    ("simdutf8", &["src/wire/utf8.rs"]),
    ("memchr", &["src/wire/"]),
    ("nix", &["src/server/", "src/driver/", "cli/src/log.rs"]),
    ("libc", &["src/server/", "src/driver/", "cli/src/allocator.rs"]),
    ("crossbeam_channel", &["src/worker/mail/mailbox.rs", "src/server/", "cli/src/log.rs"]),
    ("postcard", &["src/protocol/persist.rs"]),
    ("serde", &SERDE_ROOMS),
    ("serde_bytes", &SERDE_ROOMS),
    ("serde_json", &["src/doctor/", "src/protocol/events/tell.rs", "cli/src/subscriber.rs"]),
    ("slab", &["src/driver/", "src/hub/"]),
    ("tracing_subscriber", &["cli/src/subscriber.rs"]),
    ("tungstenite", &[]),
];

/// What is written out for people and programs, or for another process of ours.
/// What a protocol knows of a connection is.
const SERDE_ROOMS: [&str; 7] = [
    "src/doctor/",
    "src/protocol/",
    "src/wire/",
    "src/websocket/",
    "src/worker/life/",
    // Who the client is stands in a connection's image.
    "src/worker/limits/clients.rs",
    "src/worker/limits/image.rs",
];

/// Modules by floor; those on one floor do not name each other, but for the lowest.
const FLOORS: &[(usize, &[&str])] = &[
    (0, &["config", "limits", "id", "stats"]),
    (1, &["wire"]),
    (2, &["outgoing"]),
    (3, &["http", "websocket", "tls", "hub", "driver"]),
    (4, &["protocol"]),
    (5, &["worker"]),
    (7, &["server"]),
    (8, &["doctor"]),
];

/// What the program names of the library.
const OF_PROGRAM: [&str; 3] = ["config", "server", "doctor"];

/// What the operator's port names of the library.
const OF_CONTROL: [&str; 10] =
    ["config", "driver", "http", "hub", "id", "limits", "server", "stats", "wire", "worker"];

/// The root, which names everything.
const UNPLACED: [&str; 1] = ["lib"];

/// The module of the library that a file belongs to.
fn module_of(source: &Source) -> Option<&str> {
    source.path.strip_prefix("src/")?.split(['/', '.']).next()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn floor_edges(source: &Source) -> Vec<Finding> {
    let Some(module) = module_of(source) else { return Vec::new() };
    let Some(own) = floor(module) else { return Vec::new() };
    let mut findings = Vec::new();
    for (start, _) in source.code.match_indices("crate::") {
        for named in named_behind(&source.code[start + "crate::".len()..]) {
            let Some(other) = floor(&named) else { continue };
            let is_drivers_user =
                named != "driver" || ["worker", "server", "doctor"].contains(&module);
            let may = named == module || other == 0 || other < own && is_drivers_user;
            if !may {
                let detail = format!("{module} names {named}");
                findings.push(Finding { line: line_of(&source.code, start), detail });
            }
        }
    }
    findings
}

/// What those of a folder name of the library beside what they are to name.
fn strays(source: &Source, folder: &str, may: &[&str]) -> Vec<Finding> {
    if !source.is_under(&[folder]) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (start, prefix) in source.code.match_indices("throng::") {
        let line = line_of(&source.code, start);
        let named = named_behind(&source.code[start + prefix.len()..]);
        let strays = named.into_iter().filter(|module| !may.contains(&module.as_str()));
        findings.extend(strays.map(|detail| Finding { line, detail }));
    }
    findings
}

/// Where workers are made that no server has.
fn workers_outside(source: &Source) -> Vec<Finding> {
    let rooms = ["src/", "tests/simulation/", "tests/allocations/", "benches/workloads/"];
    if source.is_under(&rooms) {
        return Vec::new();
    }
    let makers = ["Worker::new", "start_with::<Builtin>"];
    makers.iter().flat_map(|maker| find_words(&source.code, maker)).collect()
}

/// The modules that stand behind `crate::`: one, or those of a group.
fn named_behind(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = code.strip_prefix('{') else { return vec![word(code)] };
    let (mut depth, mut names, mut start) = (1, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            names.push(word(&group[start..]));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// Words that stand in the library or its program outside of their rooms. Grouped uses of std are
/// opened up.
fn outside(source: &Source, rooms: &[&str], words: &[&str]) -> Vec<Finding> {
    if !source.is_under(&["src/", "cli/src/"]) || source.is_under(rooms) {
        return Vec::new();
    }
    words.iter().flat_map(|word| find(&source.code, word)).collect()
}

fn within(source: &Source, places: &[&str], words: &[&str]) -> Vec<Finding> {
    let is_within = source.is_under(places);
    let found = words.iter().filter(|_| is_within).flat_map(|word| find(&source.code, word));
    found.collect()
}

fn find(code: &str, word: &str) -> Vec<Finding> {
    let mut findings = match word.strip_suffix("::") {
        Some(name) => {
            let mut found = find_words(code, name);
            found.retain(|finding| {
                code.lines().nth(finding.line - 1).is_some_and(|line| line.contains(word))
            });
            found
        }
        None => find_words(code, word),
    };
    if let Some(module) = word.strip_prefix("std::") {
        for (start, _) in code.match_indices("use std::{") {
            let names = named_behind(&code[start + "use std::".len()..]);
            if names.iter().any(|name| name == module) {
                let detail = word.to_owned();
                findings.push(Finding { line: line_of(code, start), detail });
            }
        }
    }
    findings
}

#[test]
fn groups_are_opened() {
    assert_eq!(named_behind("{a, b::{c, d}, e::f}; g"), ["a", "b", "e"]);
    assert_eq!(named_behind("a::b"), ["a"]);
    assert_eq!(find("use std::{io, net::SocketAddr};", "std::net").len(), 1);
}
