//! What is told of rooms: by a request, and on a connection that hears nothing else.

use serde_json::Value;
use testkit::client::{Address, Client, Got, handshake, ping, text};
use throng::config::{Backend, Config, RoomRule, RoomRules};

use crate::first_contact::start;
use crate::support::{clients, comes_to_hold, ms, server};

on_both!(
    a_request_tells_how_many_are_in_a_room,
    who_watches_is_told_of_what_changes,
    who_watches_is_no_member_and_hears_no_message,
    what_a_watcher_says_closes_it,
    a_raw_room_hears_of_no_event,
    rooms_that_are_closed_and_servers_that_tell_nothing_say_so,
    rooms_have_no_names_that_topics_of_ours_begin_with,
);

const OFFER: &str = "Sec-WebSocket-Protocol: throng.events";

fn watcher(address: &Address, path: &str) -> Client {
    let (client, response) = Client::open_with(address, path, &[OFFER]);
    assert_eq!(response.field("Sec-WebSocket-Protocol"), Some("throng.events"));
    client
}

fn get(address: &Address, path: &str) -> (u16, Option<String>, String) {
    let mut client = Client::connect(address).expect("the server listens");
    client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    let response = client.response();
    let origin = response.field("Access-Control-Allow-Origin").map(str::to_owned);
    (response.status, origin, String::from_utf8(response.body).expect("it is text"))
}

fn asked(address: &Address, path: &str) -> Value {
    let (status, origin, body) = get(address, path);
    assert_eq!((status, origin.as_deref()), (200, Some("*")), "{body}");
    serde_json::from_str(&body).expect("it is JSON")
}

/// The next event, which is one of a room.
fn event(client: &mut Client) -> Value {
    let frame = client.frame();
    assert_eq!(frame.first, 0x81, "events are text");
    let event: Value = serde_json::from_slice(&frame.payload).expect("it is JSON");
    assert_eq!(event["event"], "room");
    event
}

/// Reads events until one says that there are so many.
fn hears_of(client: &mut Client, members: u64) -> Value {
    loop {
        let event = event(client);
        if event["members"] == members {
            return event;
        }
    }
}

fn a_request_tells_how_many_are_in_a_room(backend: Backend) {
    let server = server(backend, &[]);
    let address = server.address();
    let nobody = asked(address, "/rooms/lobby");
    assert_eq!((&nobody["room"], &nobody["members"]), (&"lobby".into(), &0.into()));
    assert!(nobody["last_message"].is_null());
    let mut members: [Client; 5] = clients(address, "/");
    let _other: [Client; 2] = clients(address, "/room/caf%C3%A9");
    assert_eq!(asked(address, "/rooms/lobby")["members"], 5);
    let other = asked(address, "/rooms/caf%c3%a9");
    assert_eq!((&other["room"], &other["members"]), (&"café".into(), &2.into()));
    members[0].write(&text("hello"));
    members.iter_mut().for_each(|member| assert_eq!(member.frame().payload, b"hello"));
    let is_told = || asked(address, "/rooms/lobby")["last_message"]["ms"].is_f64();
    assert!(comes_to_hold(is_told), "how long it took is told");
    drop(members);
    assert!(comes_to_hold(|| asked(address, "/rooms/lobby")["members"] == 0), "they have gone");
}

fn who_watches_is_told_of_what_changes(backend: Backend) {
    let server = server(backend, &[]);
    let address = server.address();
    let mut watchers = ["/", "/room/lobby", "/"].map(|path| watcher(address, path));
    for watcher in &mut watchers {
        let first = event(watcher);
        assert_eq!((&first["room"], &first["members"]), (&"lobby".into(), &0.into()));
    }
    let mut members: [Client; 7] = clients(address, "/");
    watchers.iter_mut().for_each(|watcher| drop(hears_of(watcher, 7)));
    assert_eq!(watchers[0].frame_within(ms(2500)), Got::Silence, "nothing changes");
    members[0].write(&text("hello"));
    members.iter_mut().for_each(|member| assert_eq!(member.frame().payload, b"hello"));
    for watcher in &mut watchers {
        assert!(event(watcher)["last_message"]["ms"].is_f64());
    }
    drop(members);
    watchers.iter_mut().for_each(|watcher| drop(hears_of(watcher, 0)));
}

fn who_watches_is_no_member_and_hears_no_message(backend: Backend) {
    let server = server(backend, &[]);
    let address = server.address();
    let mut watcher = watcher(address, "/room/a");
    assert_eq!(event(&mut watcher)["members"], 0);
    let mut member = Client::open(address, "/room/a");
    assert_eq!(asked(address, "/rooms/a")["members"], 1);
    for number in 0..100 {
        member.write(&text(&format!("secret {number}")));
        member.frame();
    }
    watcher.write(&ping(b"end"));
    loop {
        let frame = watcher.frame();
        if frame.first == 0x8a {
            break;
        }
        assert!(!frame.payload.windows(6).any(|part| part == b"secret"));
    }
}

fn what_a_watcher_says_closes_it(backend: Backend) {
    let server = server(backend, &[]);
    let mut watcher = watcher(server.address(), "/room/a");
    event(&mut watcher);
    let mut member = Client::open(server.address(), "/room/a");
    watcher.write(&text("hello"));
    let code = loop {
        let frame = watcher.frame();
        if let Some(code) = frame.close_code() {
            break code;
        }
    };
    assert_eq!(code, 1008);
    assert_eq!(member.frame_within(ms(50)), Got::Silence);
}

fn a_raw_room_hears_of_no_event(backend: Backend) {
    let server = server(backend, &[]);
    let mut member = Client::open(server.address(), "/room/a");
    let mut watcher = watcher(server.address(), "/room/a");
    event(&mut watcher);
    let _more: [Client; 3] = clients(server.address(), "/room/a");
    hears_of(&mut watcher, 4);
    assert_eq!(member.frame_within(ms(50)), Got::Silence);
}

fn rooms_that_are_closed_and_servers_that_tell_nothing_say_so(backend: Backend) {
    let closed = RoomRule { matches: "b".to_owned(), enabled: false, ..RoomRule::default() };
    let rooms = RoomRules::new(vec![closed]).expect("it is good");
    let (_server, address) = start(backend, Config { rooms, ..Config::default() });
    let (status, _, words) = get(&address, "/rooms/b");
    assert_eq!(status, 403, "{words}");
    let (_server, address) = start(backend, Config { room_info: false, ..Config::default() });
    let (status, _, words) = get(&address, "/rooms/a");
    assert_eq!(status, 404);
    assert!(words.contains("room_info"), "{words}");
    let mut client = Client::connect(&address).expect("the server listens");
    client.write(handshake("/room/a", &[OFFER]).as_bytes());
    assert_eq!(client.response().status, 404);
}

fn rooms_have_no_names_that_topics_of_ours_begin_with(backend: Backend) {
    let server = server(backend, &[]);
    for path in ["/room/%01a", "/room/a%00", "/room/%7f"] {
        let mut client = Client::connect(server.address()).expect("the server listens");
        client.write(handshake(path, &[]).as_bytes());
        assert_eq!(client.response().status, 404, "{path}");
    }
}
