//! Many subscriptions of one connection, by a protocol of this test: `+T` subscribes to T, `-T`
//! ends that, `T=M` publishes M in T, `talk` has it say something large again and again.

use std::thread;
use std::time::Duration;

use testkit::client::{Address, Client, ping, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::http::{Request, Subprotocols};
use throng::limits::{SUBSCRIPTIONS_MAX, TOPIC_BYTES_MAX};
use throng::protocol::{Context, Flow, Opening, Protocol, Route};
use throng::server::Server;
use throng::wire::{CloseCode, Kind};

use crate::support::comes_to_hold;

on_both!(
    replies_and_publications_are_in_their_order,
    each_gets_what_it_is_subscribed_to_and_nothing_else,
    ten_thousand_subscriptions_come_and_go,
    subscriptions_and_names_are_bounded,
    who_floods_any_of_its_topics_waits_for_the_members,
    who_does_not_take_what_is_said_unasked_is_closed
);

#[derive(Debug)]
struct Topics;

impl Protocol for Topics {
    type Conn = ();
    type Setup = ();

    const PATHS: &'static [&'static str] = &["/topics"];

    fn route<'a>((): &(), request: &Request<'a>) -> Option<Route<'a, ()>> {
        let opening = Opening { conn: (), subprotocols: Subprotocols::First, topic: None };
        (request.path == "/topics").then_some(Route::WebSocket(opening))
    }

    fn message((): &(), (): &mut (), cx: &mut Context<'_>, _: Kind, said: &[u8]) -> Flow {
        let said = String::from_utf8_lossy(said);
        if let Some(topic) = said.strip_prefix('+') {
            let word = if cx.subscribe(topic) { "in" } else { "not" };
            cx.send(Kind::Text, format!("{word} {topic}").as_bytes());
        } else if said == "talk" {
            return Self::due(&(), &mut (), cx);
        } else if let Some(topic) = said.strip_prefix('-') {
            cx.unsubscribe(topic);
            cx.send(Kind::Text, format!("out {topic}").as_bytes());
        } else if let Some((topic, message)) = said.split_once('=') {
            if !cx.publish_to(topic, Kind::Text, message.as_bytes()) {
                cx.send(Kind::Text, b"not subscribed");
            }
        } else {
            return Flow::Close(CloseCode::POLICY, "what is that");
        }
        Flow::Next
    }

    fn due((): &(), (): &mut (), cx: &mut Context<'_>) -> Flow {
        cx.send(Kind::Binary, &[7; LARGE]);
        cx.wake_in(Duration::from_millis(20));
        Flow::Next
    }
}

/// Bytes of a large message.
const LARGE: usize = 64 << 10;

throng::protocols! {
    /// What these servers speak.
    OnlyTopics, Spoken, Setups:
    Topics = topics: Topics,
}

fn start(backend: Backend) -> (Server, Address) {
    let listen = vec!["127.0.0.1:0".parse().expect("it is an address")];
    let ping_interval = Duration::ZERO;
    let send_timeout = Duration::ZERO;
    let workers = 2;
    let config =
        Config { listen, workers, backend, ping_interval, send_timeout, ..Config::default() };
    let server = Server::start_with::<OnlyTopics>(config, Setups::default());
    let server = server.expect("nothing is in the way");
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, address.into())
}

fn said(client: &mut Client) -> String {
    String::from_utf8(client.frame().payload).expect("it is text")
}

fn texts(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| text(line)).collect()
}

fn replies_and_publications_are_in_their_order(backend: Backend) {
    let (_server, address) = start(backend);
    let mut client = Client::open(&address, "/topics");
    let lines =
        ["+a", "a=1", "+b", "b=2", "a=3", "-a", "a=4", "b=5", "-b", "+a", "a=6", "-a", "-a"];
    client.write(&texts(&lines));
    client.write(&ping(b"last"));
    // Publications of different topics are in no order of theirs; a topic's and its replies are.
    let mut heard = Vec::new();
    while heard.len() < 13 {
        let frame = client.frame();
        if frame.opcode() == 1 {
            heard.push(String::from_utf8(frame.payload).expect("it is text"));
        }
    }
    let of = |words: &[&str]| -> Vec<&str> {
        heard.iter().map(String::as_str).filter(|word| words.contains(word)).collect()
    };
    assert_eq!(
        of(&["in a", "1", "3", "out a", "6"]),
        ["in a", "1", "3", "out a", "in a", "6", "out a", "out a"]
    );
    assert_eq!(of(&["in b", "2", "5", "out b"]), ["in b", "2", "5", "out b"]);
    assert_eq!(of(&["4"]), [""; 0], "it had left by then");
    assert_eq!(of(&["not subscribed"]).len(), 1);
}

fn each_gets_what_it_is_subscribed_to_and_nothing_else(backend: Backend) {
    const CLIENTS: usize = 12;
    let (_server, address) = start(backend);
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::open(&address, "/topics")).collect();
    // Client N is in the topics whose number has one of its divisors.
    let is_in = |client: usize, topic: usize| topic.is_multiple_of(client + 1);
    for (number, client) in clients.iter_mut().enumerate() {
        for topic in (1..=60).filter(|topic| is_in(number, *topic)) {
            client.write(&text(&format!("+{topic}")));
            assert_eq!(said(client), format!("in {topic}"));
        }
    }
    for topic in 1..=60 {
        clients[0].write(&text(&format!("{topic}=hello {topic}")));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for topic in (1..=60).filter(|topic| is_in(number, *topic)) {
            let _ = topic;
            let hello = said(client);
            let topic = hello.strip_prefix("hello ").and_then(|topic| topic.parse().ok());
            assert!(topic.is_some_and(|topic| is_in(number, topic)), "{hello}");
        }
        client.write(&texts(&["-nothing", "1=x"]));
        let replies: Vec<String> = (0..2).map(|_| said(client)).collect();
        let last = if number == 0 { "x" } else { "not subscribed" };
        assert_eq!(replies, ["out nothing", last], "nothing else has come");
    }
}

fn ten_thousand_subscriptions_come_and_go(backend: Backend) {
    const TOPICS: usize = 10_000;
    let (server, address) = start(backend);
    let mut client = Client::open(&address, "/topics");
    for round in 0..2 {
        for chunk in 0..TOPICS / 100 {
            let lines: Vec<String> = (0..100).map(|at| format!("+{}", chunk * 100 + at)).collect();
            client.write(&lines.iter().flat_map(|line| text(line)).collect::<Vec<u8>>());
            (0..100).for_each(|_| assert!(said(&mut client).starts_with("in ")));
        }
        if round == 1 {
            break;
        }
        // In another order than they came.
        for step in 0..TOPICS {
            client.write(&text(&format!("-{}", step * 7919 % TOPICS)));
        }
        (0..TOPICS).for_each(|_| assert!(said(&mut client).starts_with("out ")));
    }
    drop(client);
    let mut other = Client::open(&address, "/topics");
    other.write(&text("+0"));
    assert_eq!(said(&mut other), "in 0");
    server.handle().publish("0", Kind::Text, b"still here").expect("nobody is behind");
    assert_eq!(said(&mut other), "still here");
}

fn subscriptions_and_names_are_bounded(backend: Backend) {
    let (_server, address) = start(backend);
    let mut client = Client::open(&address, "/topics");
    for number in 0..SUBSCRIPTIONS_MAX {
        client.write(&text(&format!("+{number}")));
    }
    for number in 0..SUBSCRIPTIONS_MAX {
        assert_eq!(said(&mut client), format!("in {number}"));
    }
    let (long, longest) = ("a".repeat(TOPIC_BYTES_MAX + 1), "b".repeat(TOPIC_BYTES_MAX));
    client.write(&texts(&["+more", "-0", "+more", "-1", &format!("+{long}")]));
    client.write(&texts(&[&format!("+{longest}"), "more=said"]));
    let heard: Vec<String> = (0..7).map(|_| said(&mut client)).collect();
    let (long, longest) = (format!("not {long}"), format!("in {longest}"));
    assert_eq!(heard, ["not more", "out 0", "in more", "out 1", &long, &longest, "said"]);
}

fn who_floods_any_of_its_topics_waits_for_the_members(backend: Backend) {
    const MESSAGES: usize = 1000;
    let (server, address) = start(backend);
    // The flooded topic is the first, the last and one between of those that it is in.
    let mut members = [(); 3].map(|()| Client::open(&address, "/topics"));
    let mut publisher = Client::open(&address, "/topics");
    for (name, member) in ["a", "b", "c"].iter().zip(&mut members) {
        for client in [member, &mut publisher] {
            client.write(&text(&format!("+{name}")));
            assert_eq!(said(client), format!("in {name}"));
        }
    }
    let mut reader = publisher.writer();
    let writing = thread::spawn(move || {
        for number in 0..MESSAGES {
            for name in ["a", "b", "c"] {
                publisher.write(&text(&format!("{name}={number}{}", ".".repeat(LARGE))));
            }
        }
    });
    let reading = members.map(|mut member| {
        thread::spawn(move || {
            for number in 0..MESSAGES {
                let heard = said(&mut member);
                assert_eq!(heard.trim_end_matches('.'), number.to_string());
            }
        })
    });
    // What it publishes comes back to itself.
    for _ in 0..3 * MESSAGES {
        said(&mut reader);
    }
    reading.into_iter().for_each(|thread| thread.join().expect("all has come"));
    writing.join().expect("all was read");
    assert_eq!(server.counts().closed_slow, 0);
}

fn who_does_not_take_what_is_said_unasked_is_closed(backend: Backend) {
    let (server, address) = start(backend);
    let mut client = Client::open(&address, "/topics");
    client.write(&text("talk"));
    assert!(comes_to_hold(|| server.counts().closed_slow == 1));
    // What its kernel and ours had, and a queue that was closed at a megabyte.
    let sent = server.counts().bytes_sent as usize;
    assert!(sent < 32 << 20, "{sent} bytes");
}
