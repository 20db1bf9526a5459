//! Rooms of the whole process, and topics of one connection, where these are bounded.

use std::time::Duration;

use testkit::client::{Address, Client, Response, handshake, text};
use throng::config::{Backend, Config, Limits, ListenAddr};
use throng::http::{Request, Subprotocols};
use throng::protocol::{Context, Flow, Opening, Protocol, Route};
use throng::server::Server;
use throng::stats::Refusal;
use throng::wire::Kind;

use crate::support::comes_to_hold;

on_both!(
    who_would_open_one_room_too_many_reads_why_and_others_come_in,
    who_watches_rooms_opens_none,
    a_connection_has_so_many_topics_and_all_together_no_more_than_rooms,
    of_what_is_left_to_be_done_topics_count_and_nothing_else,
);

fn config(backend: Backend, limits: Limits) -> Config {
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    // A ping may come as soon as a connection opens.
    let ping_interval = Duration::ZERO;
    Config { listen, workers: 2, backend, limits, ping_interval, ..Config::default() }
}

fn rooms(rooms: usize) -> Limits {
    Limits { rooms: Some(rooms), ..Limits::default() }
}

fn address_of(server: &Server) -> Address {
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    tcp.into()
}

fn try_open(address: &Address, path: &str) -> Response {
    let mut client = Client::connect(address).expect("it listens");
    client.write(handshake(path, &[]).as_bytes());
    client.response()
}

fn who_would_open_one_room_too_many_reads_why_and_others_come_in(backend: Backend) {
    let server = Server::start(config(backend, rooms(2))).expect("nothing is in the way");
    let address = address_of(&server);
    let [_first, second] = ["/room/a", "/room/b"].map(|path| Client::open(&address, path));
    for _ in 0..10 {
        let response = try_open(&address, "/room/c");
        assert_eq!(response.status, 503, "{}", response.head);
        assert!(response.field("Retry-After").is_some(), "{}", response.head);
        assert_eq!(response.body, b"no room may be opened now\n");
        // On whatever worker.
        drop(Client::open(&address, "/room/a"));
    }
    let _no_room_at_all = Client::open(&address, "/echo");
    let counters = server.monitor().counters().to_vec();
    let refused: u64 = counters.iter().map(|it| it.refusals.of(Refusal::RoomLimit).get()).sum();
    assert_eq!(refused, 10);
    drop(second);
    assert!(comes_to_hold(|| try_open(&address, "/room/c").status == 101), "one has closed");
}

fn who_watches_rooms_opens_none(backend: Backend) {
    let server = Server::start(config(backend, rooms(1))).expect("nothing is in the way");
    let address = address_of(&server);
    let watch = ["Sec-WebSocket-Protocol: throng.events"];
    let watchers = ["/room/a", "/room/b", "/room/c"];
    let _watchers = watchers.map(|path| Client::open_with(&address, path, &watch));
    let _inside = Client::open(&address, "/room/b");
    assert_eq!(try_open(&address, "/room/c").status, 503);
}

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

    /// Subscribes to each word; ends the subscription to one behind a `-`, and `~` is something
    /// else that is left to be done.
    fn message((): &(), (): &mut (), cx: &mut Context<'_>, _: Kind, said: &[u8]) -> Flow {
        let said = String::from_utf8_lossy(said);
        let mut got = Vec::new();
        for word in said.split(' ') {
            match word.strip_prefix('-') {
                Some(topic) => cx.unsubscribe(topic),
                None if word == "~" => cx.wake_in(Duration::from_secs(3600)),
                None if cx.subscribe(word) => got.push(word),
                None => {}
            }
        }
        cx.send(Kind::Text, got.join(" ").as_bytes());
        Flow::Next
    }
}

throng::protocols! {
    /// With many topics.
    Ours, Spoken, Setups:
    Topics = topics: Topics,
}

fn a_connection_has_so_many_topics_and_all_together_no_more_than_rooms(backend: Backend) {
    let limits = Limits { rooms: Some(5), rooms_per_connection: 3, ..Limits::default() };
    let config = config(backend, limits);
    let server = Server::start_with::<Ours>(config, Setups::default()).expect("it starts");
    let address = address_of(&server);
    let mut clients = [(); 3].map(|()| Client::open(&address, "/topics"));
    let mut says = |client: usize, topics: &str| {
        clients[client].write(&text(topics));
        String::from_utf8(clients[client].frame().payload).expect("it is text")
    };
    assert_eq!(says(0, "a b c d"), "a b c", "three of one connection");
    assert_eq!(says(0, "e"), "");
    assert_eq!(says(1, "d e f"), "d e", "five in all");
    assert_eq!(says(2, "f a e"), "a e", "those that are there");
}

fn of_what_is_left_to_be_done_topics_count_and_nothing_else(backend: Backend) {
    let limits = Limits { rooms_per_connection: 3, ..Limits::default() };
    let server = Server::start_with::<Ours>(config(backend, limits), Setups::default());
    let server = server.expect("it starts");
    let mut client = Client::open(&address_of(&server), "/topics");
    for (words, got) in [
        ("~ ~ ~ a ~ ~ b a c d", "a b a c"),
        ("-a ~ d e", "d"),
        ("-a -a -nothing e", ""),
        ("-b -b -b e f", "e"),
        ("-c -d -e f -f g -g h i j k", "f g h i j"),
        ("h", ""),
    ] {
        client.write(&text(words));
        assert_eq!(client.frame().payload, got.as_bytes(), "{words}");
    }
}
