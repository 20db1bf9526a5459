//! What those outside see of a server, and what they have its workers do.

use std::collections::HashSet;
use std::sync::mpsc;

use testkit::client::{Address, Client, close, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::id::ConnId;
use throng::server::{Monitor, Server};
use throng::stats::Ending;
use throng::wire::CloseCode;
use throng::worker::{ConnectionInfo, Disconnect, Inquiry, PAGE_MAX, Report, Wanted, Whom};

use crate::support::{PATIENCE, clients, comes_to_hold};

on_both!(
    a_worker_that_sleeps_answers,
    connections_are_told_in_pages,
    connections_are_found_by_topic_and_by_host,
    who_is_meant_is_closed_and_nobody_else,
    a_topic_knows_its_members_and_how_fast_they_had_the_last_message,
    each_end_is_counted_once_by_its_reason,
);

const WORKERS: usize = 2;

fn start(backend: Backend) -> (Server, Address) {
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    let config = Config { listen, workers: WORKERS, backend, ..Config::default() };
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp.into())
}

/// What a worker answers.
fn ask(monitor: &Monitor, worker: usize, inquiry: Inquiry) -> Report {
    let (sender, answers) = mpsc::channel();
    let reply = move |report| sender.send(report).expect("the test waits");
    monitor.ask(worker, inquiry, reply).expect("its mailbox has room");
    answers.recv_timeout(PATIENCE).expect("it answers")
}

/// All pages of one worker.
fn pages(monitor: &Monitor, worker: usize, wanted: &Wanted) -> Vec<ConnectionInfo> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let inquiry = Inquiry::Connections(Wanted { from: at, ..wanted.clone() });
        let Report::Connections { list, next } = ask(monitor, worker, inquiry) else {
            panic!("connections were asked for")
        };
        assert!(list.len() <= wanted.limit.clamp(1, PAGE_MAX));
        all.extend(list);
        from = next;
    }
    all
}

fn all(monitor: &Monitor, wanted: &Wanted) -> Vec<ConnectionInfo> {
    (0..WORKERS).flat_map(|worker| pages(monitor, worker, wanted)).collect()
}

fn a_worker_that_sleeps_answers(backend: Backend) {
    let (server, _) = start(backend);
    let monitor = server.monitor();
    for round in 0..20 {
        for worker in 0..WORKERS {
            let report = ask(&monitor, worker, Inquiry::Pulse);
            assert!(matches!(report, Report::Pulse), "{round}: {report:?}");
        }
    }
}

fn connections_are_told_in_pages(backend: Backend) {
    let (server, address) = start(backend);
    let monitor = server.monitor();
    let clients: [Client; 50] = clients(&address, "/room/a");
    for limit in [7, 50, PAGE_MAX] {
        let found = all(&monitor, &Wanted { limit, ..Wanted::default() });
        let names: HashSet<(usize, ConnId)> =
            found.iter().map(|info| (info.worker.index(), info.conn)).collect();
        assert_eq!((found.len(), names.len()), (50, 50), "each once, {limit} on a page");
    }
    let found = all(&monitor, &Wanted { limit: 9, ..Wanted::default() });
    assert!(found.iter().all(|info| info.protocol == Some("room") && info.topics == ["a"]));
    let ports: HashSet<String> =
        found.iter().filter_map(|info| Some(info.peer?.to_string())).collect();
    assert_eq!(ports.len(), 50, "each has an address of its own: {ports:?}");
    let totals = (0..WORKERS).map(|worker| match ask(&monitor, worker, Inquiry::Totals) {
        Report::Totals(totals) => totals,
        other => panic!("totals were asked for: {other:?}"),
    });
    let totals: Vec<_> = totals.collect();
    assert_eq!(totals.iter().map(|it| it.websockets).sum::<u64>(), 50);
    assert!(totals.iter().all(|it| it.topics <= 1 && it.queued_bytes == 0), "{totals:?}");
    drop(clients);
}

fn connections_are_found_by_topic_and_by_host(backend: Backend) {
    let (server, address) = start(backend);
    let monitor = server.monitor();
    let _a: [Client; 3] = clients(&address, "/room/a");
    let _b: [Client; 5] = clients(&address, "/room/b");
    let count = |topic: Option<&str>, host: Option<&str>| {
        let address = host.map(|host| host.parse().expect("it is one"));
        let topic = topic.map(str::to_owned);
        all(&monitor, &Wanted { topic, address, from: 0, limit: 2 }).len()
    };
    assert_eq!([count(Some("a"), None), count(Some("b"), None), count(Some("c"), None)], [3, 5, 0]);
    assert_eq!(count(None, Some("127.0.0.1")), 8);
    assert_eq!([count(None, Some("127.0.0.2")), count(Some("a"), Some("::1"))], [0, 0]);
}

fn who_is_meant_is_closed_and_nobody_else(backend: Backend) {
    let (server, address) = start(backend);
    let monitor = server.monitor();
    let mut a: [Client; 3] = clients(&address, "/room/a");
    let mut b: [Client; 3] = clients(&address, "/room/b");
    let code = CloseCode::from_wire(4321).expect("it may stand in a frame");
    let disconnect = |whom| {
        let reason = "é".repeat(100);
        let inquiry = Inquiry::Disconnect(Disconnect { whom, code, reason });
        let closed = (0..WORKERS).map(|worker| match ask(&monitor, worker, inquiry.clone()) {
            Report::Disconnected(count) => count,
            other => panic!("it was to close: {other:?}"),
        });
        closed.sum::<usize>()
    };
    assert_eq!(disconnect(Whom::Topic("a".into())), 3);
    for client in &mut a {
        let frame = client.frame();
        assert_eq!(frame.payload[..2], 4321_u16.to_be_bytes());
        let reason = str::from_utf8(&frame.payload[2..]).expect("whole characters");
        assert_eq!(reason, "é".repeat(61), "as many as fit");
    }
    b[0].write(&text("still here"));
    for client in &mut b {
        assert_eq!(client.frame().payload, b"still here");
    }
    let one = &all(&monitor, &Wanted { topic: Some("b".into()), ..Wanted::default() })[0];
    let (worker, conn) = (one.worker.index(), one.conn);
    let gone = ConnId { generation: conn.generation.wrapping_add(1), ..conn };
    for (whom, expected) in [(gone, 0), (conn, 1), (conn, 0)] {
        let disconnect = Disconnect { whom: Whom::One(whom), code, reason: String::new() };
        let report = ask(&monitor, worker, Inquiry::Disconnect(disconnect));
        assert!(matches!(report, Report::Disconnected(count) if count == expected), "{report:?}");
    }
    let host = "127.0.0.1".parse().expect("it is one");
    assert_eq!(disconnect(Whom::Host(host)), 2);
    assert!(b.iter_mut().all(|client| client.close_code() == 4321));
    let by_operator = monitor.counters().iter().map(|it| it.endings.of(Ending::Operator).get());
    assert_eq!(by_operator.sum::<u64>(), 6);
}

fn a_topic_knows_its_members_and_how_fast_they_had_the_last_message(backend: Backend) {
    let (server, address) = start(backend);
    let monitor = server.monitor();
    assert_eq!(monitor.topic("a"), None);
    let mut members: [Client; 20] = clients(&address, "/room/a");
    let _other = Client::open(&address, "/room/b");
    // Who only wants to be told of a room is no member of it, nor of any other that is told of.
    let watches = ["Sec-WebSocket-Protocol: throng.events"];
    let _watcher = Client::open_with(&address, "/room/a", &watches);
    let info = monitor.topic("a").expect("it has members");
    assert_eq!((info.name.as_str(), info.members, info.fanout_micros), ("a", 20, None));
    members[0].write(&text("hello"));
    members.iter_mut().for_each(|member| assert_eq!(member.frame().payload, b"hello"));
    let knows = || monitor.topic("a").is_some_and(|info| info.fanout_micros.is_some());
    assert!(comes_to_hold(knows), "when the last has it");
    let measured = || -> u64 {
        let counts = monitor.counters().iter().map(|it| it.fanout_micros.counts());
        counts.map(|counts| counts.iter().sum::<u64>()).sum()
    };
    assert!(comes_to_hold(|| measured() >= 1 && measured() <= WORKERS as u64), "{}", measured());
    let mut names: Vec<_> = monitor.topics().into_iter().map(|it| (it.name, it.members)).collect();
    names.sort();
    assert_eq!(names, [("a".to_owned(), 20), ("b".to_owned(), 1)]);
    drop(members);
    assert!(comes_to_hold(|| monitor.topic("a").is_none()));
}

fn each_end_is_counted_once_by_its_reason(backend: Backend) {
    let (server, address) = start(backend);
    let monitor = server.monitor();
    let [mut says_goodbye, mut says_nothing, mut breaks_rules, mut too_big, mut stays, gone] =
        clients(&address, "/echo");
    says_goodbye.write(&close(4000));
    assert_eq!(says_goodbye.close_code(), 4000);
    says_nothing.write(&[0x88, 0x80, 0, 0, 0, 0]);
    says_nothing.frame();
    breaks_rules.write(&[0x83, 0x80, 0, 0, 0, 0]);
    assert_eq!(breaks_rules.close_code(), 1002);
    // A frame of two megabytes, of which the header is enough.
    too_big.write(&[&[0x82, 0xff][..], &(2_u64 << 20).to_be_bytes(), &[0; 4]].concat());
    assert_eq!(too_big.close_code(), 1009);
    gone.reset();
    let count = |reason| {
        monitor.counters().iter().map(|counters| counters.endings.of(reason).get()).sum::<u64>()
    };
    assert!(comes_to_hold(|| count(Ending::Disconnected) == 1));
    server.stop();
    assert_eq!(stays.close_code(), 1001);
    stays.write(&close(1001));
    server.join().expect("no worker fails");
    for reason in Ending::ALL {
        let expected = match reason {
            Ending::Client => 2,
            Ending::Violation | Ending::MessageTooBig | Ending::Disconnected | Ending::Shutdown => {
                1
            }
            _ => 0,
        };
        assert_eq!(count(*reason), expected, "{reason:?}");
    }
    let mut codes = std::collections::BTreeMap::<&str, u64>::new();
    for (code, count) in monitor.counters().iter().flat_map(|it| it.close_codes.iter()) {
        *codes.entry(code).or_default() += count;
    }
    codes.retain(|_, count| *count > 0);
    let expected = [("1001", 1), ("1002", 1), ("1005", 1), ("1006", 1), ("1009", 1), ("other", 1)];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
}
