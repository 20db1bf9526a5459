//! What a reader that does not keep up gets, by the policy of its room; and rooms that gather
//! messages for a while.

use std::sync::mpsc;
use std::time::Duration;

use testkit::client::{Address, Client, Frame, close, frames, ping, text};
use throng::config::{Backend, Config, Delivery, ListenAddr, Policy, RoomRule, RoomRules};
use throng::server::Server;
use throng::wire::Kind;
use throng::worker::{ConnectionInfo, Inquiry, Report, Wanted};

use crate::support::{PATIENCE, clients, comes_to_hold};

on_both!(
    who_is_over_the_bound_of_its_room_is_told_why_it_is_closed,
    of_the_oldest_so_many_go_that_the_newest_fit,
    of_latest_a_slow_reader_gets_the_newest,
    other_rules_hold_from_a_reload_on,
    messages_of_a_while_leave_in_one_send_for_each_member,
    who_leaves_a_batch_has_it_and_a_pong_does_not_wait_for_it,
);

const BACKLOG: usize = 128 << 10;
const MESSAGES: u32 = 800;
const BYTES: usize = 16 << 10;

fn config(backend: Backend, delivery: Delivery) -> Config {
    let rule = RoomRule { delivery, ..RoomRule::default() };
    Config {
        listen: vec!["127.0.0.1:0".parse().expect("it is one")],
        workers: 2,
        backend,
        ping_interval: Duration::ZERO,
        drain: Duration::ZERO,
        rooms: RoomRules::new(vec![rule]).expect("it is a good one"),
        ..Config::default()
    }
}

fn start(config: Config) -> (Server, Address) {
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp.into())
}

fn of(policy: Policy) -> Delivery {
    Delivery { policy, backlog: Some(BACKLOG), ..Delivery::default() }
}

/// A message that says its number.
fn message(number: u32) -> Vec<u8> {
    let mut payload = vec![b'.'; BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(*frame.payload.first_chunk().expect("each message has one"))
}

/// Somebody in the room who does not read, while others get everything, message by message.
fn slow_reader(server: &Server, address: &Address) -> Client {
    let mut others: [Client; 3] = clients(address, "/room/a");
    let mut slow = Client::connect_with(address, Some(16 << 10)).expect("it listens");
    slow.upgrade("/room/a", &[]);
    for at in 0..MESSAGES {
        let payload = message(at);
        server.handle().publish("a", Kind::Binary, &payload).expect("nobody else publishes");
        for other in &mut others {
            assert!(other.frame().payload == payload, "message {at}");
        }
    }
    slow
}

/// Reads until this message has come.
fn read_until(slow: &mut Client, last: u32) -> Vec<u32> {
    let mut got = Vec::new();
    loop {
        got.push(number(&slow.frame()));
        if got.last() == Some(&last) {
            return got;
        }
    }
}

/// How many came before the first that is missing.
fn prefix(got: &[u32]) -> usize {
    got.iter().zip(0..).take_while(|(number, expected)| *number == expected).count()
}

/// Who has lost anything.
fn losers(server: &Server) -> Vec<ConnectionInfo> {
    let monitor = server.monitor();
    let ask = |worker| {
        let (sender, answers) = mpsc::channel();
        let reply = move |report| sender.send(report).expect("the test waits");
        let inquiry = Inquiry::Connections(Wanted { limit: 100, ..Wanted::default() });
        monitor.ask(worker, inquiry, reply).expect("its mailbox has room");
        match answers.recv_timeout(PATIENCE).expect("it answers") {
            Report::Connections { list, .. } => list,
            other => panic!("connections were asked for, not {other:?}"),
        }
    };
    (0..2).flat_map(ask).filter(|info| info.dropped > 0).collect()
}

fn who_is_over_the_bound_of_its_room_is_told_why_it_is_closed(backend: Backend) {
    let (server, address) = start(config(backend, of(Policy::Disconnect)));
    let mut slow = slow_reader(&server, &address);
    assert_eq!(server.counts().closed_slow, 1);
    let rest = slow.rest(PATIENCE);
    let (mut got, left) = frames(&rest.bytes);
    assert!(left.is_empty(), "what came, came whole");
    let last = got.pop().expect("something came");
    assert_eq!(last.close_code(), Some(1008));
    let reason = String::from_utf8_lossy(&last.payload[2..]);
    assert_eq!(reason, format!("slow consumer: more than {BACKLOG} bytes waited"));
    let got: Vec<u32> = got.iter().map(number).collect();
    assert_eq!(prefix(&got), got.len(), "what comes before has no gap");
    assert!(got.len() < MESSAGES as usize);
    assert_eq!((server.counts().dropped_oldest, server.counts().dropped_latest), (0, 0));
}

fn of_the_oldest_so_many_go_that_the_newest_fit(backend: Backend) {
    let (server, address) = start(config(backend, of(Policy::DropOldest)));
    let mut slow = slow_reader(&server, &address);
    let lost = losers(&server);
    let got = read_until(&mut slow, MESSAGES - 1);
    let begin = prefix(&got);
    let end: Vec<u32> = got[begin..].to_vec();
    let expected: Vec<u32> = (MESSAGES - end.len() as u32..MESSAGES).collect();
    assert_eq!(end, expected, "behind one gap come the newest");
    // Each takes some 150 bytes beside its own.
    let fits = BACKLOG / (BYTES + 200);
    assert!((fits * 7 / 8 - 1..=fits).contains(&end.len()), "{} of {fits} have waited", end.len());
    let dropped = MESSAGES as usize - got.len();
    assert!(dropped > 0 && lost.len() == 1, "{lost:?}");
    assert_eq!(lost[0].dropped, dropped as u64, "it is known who lost how many");
    let counts = server.counts();
    assert_eq!((counts.dropped_oldest, counts.dropped_latest), (dropped as u64, 0));
    assert_eq!(counts.closed_slow, 0);
    let known = server.monitor().topic("a");
    assert_eq!(known.map(|topic| topic.dropped), Some(dropped as u64));
    server.handle().publish("a", Kind::Binary, &message(7)).expect("nobody else publishes");
    assert_eq!(number(&slow.frame()), 7, "and it goes on");
}

fn of_latest_a_slow_reader_gets_the_newest(backend: Backend) {
    let (server, address) = start(config(backend, of(Policy::Latest)));
    let mut slow = slow_reader(&server, &address);
    let got = read_until(&mut slow, MESSAGES - 1);
    assert_eq!(prefix(&got), got.len() - 1, "behind what was on its way comes the newest");
    let dropped = u64::from(MESSAGES) - got.len() as u64;
    let counts = server.counts();
    assert!(dropped > 0);
    assert_eq!((counts.dropped_oldest, counts.dropped_latest), (0, dropped));
    assert_eq!(losers(&server).iter().map(|info| info.dropped).collect::<Vec<_>>(), [dropped]);
    drop(slow);
    assert!(comes_to_hold(|| losers(&server).is_empty()), "who goes is forgotten");
}

fn other_rules_hold_from_a_reload_on(backend: Backend) {
    let (server, address) = start(config(backend, Delivery::default()));
    let mut slow = slow_reader(&server, &address);
    assert_eq!(server.counts().closed_slow, 1, "the default is to close");
    slow.rest(PATIENCE);
    let mut member = Client::open(&address, "/room/a");
    let mut config = config(backend, of(Policy::Latest));
    config.listen.clone_from(&server.addresses().to_vec());
    server.reload(config).expect("it speaks what is built in");
    let mut slow = slow_reader(&server, &address);
    let got = read_until(&mut slow, MESSAGES - 1);
    assert_eq!(prefix(&got), got.len() - 1);
    assert!(server.counts().dropped_latest > 0);
    // Who was there before has waited in its own socket, or is slow too.
    member.write(&close(1000));
}

fn messages_of_a_while_leave_in_one_send_for_each_member(backend: Backend) {
    const MEMBERS: usize = 6;
    const EACH: u8 = 20;
    let batch_delay = Duration::from_secs(1);
    let (server, address) = start(config(backend, Delivery { batch_delay, ..Delivery::default() }));
    let mut members: [Client; MEMBERS] = clients(&address, "/room/a");
    let before = server.counts().sends;
    for at in 0..EACH {
        // From outside, and by members of either worker.
        if at.is_multiple_of(2) {
            server.handle().publish("a", Kind::Text, &[b'a' + at]).expect("it is taken");
        } else {
            let payload = char::from(b'a' + at).to_string();
            members[usize::from(at) % MEMBERS].write(&text(&payload));
        }
    }
    for member in &mut members {
        let got: Vec<u8> = (0..EACH).map(|_| member.frame().payload[0]).collect();
        let mut sorted = got.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (b'a'..b'a' + EACH).collect::<Vec<_>>(), "each once");
        let from_outside: Vec<u8> = got.into_iter().filter(|it| it % 2 == b'a' % 2).collect();
        assert!(from_outside.is_sorted(), "those of one sender are in order");
    }
    // A second one, if the host stood still for a second.
    let sends = server.counts().sends - before;
    assert!(sends <= 2 * MEMBERS as u64, "{sends} sends for {EACH} messages to {MEMBERS}");
}

fn who_leaves_a_batch_has_it_and_a_pong_does_not_wait_for_it(backend: Backend) {
    let batch_delay = Duration::from_secs(1);
    let (server, address) = start(config(backend, Delivery { batch_delay, ..Delivery::default() }));
    let [mut publisher, mut leaver]: [Client; 2] = clients(&address, "/room/a");
    publisher.write(&[text("one"), ping(b"p"), text("two")].concat());
    assert_eq!(publisher.frame().payload, b"p", "nobody's heartbeat waits for a batch");
    for member in [&mut publisher, &mut leaver] {
        assert_eq!([member.frame().payload, member.frame().payload], [&b"one"[..], b"two"]);
    }
    leaver.write(&[text("last"), close(1000)].concat());
    assert_eq!(leaver.frame().payload, b"last", "before it is due");
    assert_eq!(leaver.close_code(), 1000);
    assert_eq!(publisher.frame().payload, b"last");
    server.stop();
}
