//! The programs of examples/ do what README.md says of them.

use testkit::client::{Client, binary, text};

use crate::embedders::{Embedder, example};

fn said(client: &mut Client) -> String {
    String::from_utf8(client.frame().payload).expect("it is text")
}

/// What a request for a path is answered with.
fn status(embedder: &Embedder, path: &str) -> u16 {
    let mut client = Client::connect(embedder.address()).expect("it listens");
    client.write(testkit::client::handshake(path, &[]).as_bytes());
    client.response().status
}

#[test]
fn echo_speaks_a_list_of_one() {
    let echo = Embedder::start(&example("echo"));
    let mut client = Client::open(echo.address(), "/echo");
    client.write(&[text("hello"), binary(&[1, 2, 3])].concat());
    assert_eq!(said(&mut client), "hello");
    assert_eq!(client.frame().payload, [1, 2, 3]);
    assert_eq!(status(&echo, "/room/a"), 404, "nothing else is in its list");
}

#[test]
fn chat_tells_everybody_who_said_what() {
    let chat = Embedder::start(&example("chat"));
    let mut guests = [(); 3].map(|()| Client::open(chat.address(), "/chat"));
    guests[1].write(&text("hello"));
    let line = said(&mut guests[0]);
    let name = line.strip_prefix("guest ").and_then(|line| line.strip_suffix(": hello"));
    assert!(name.is_some_and(|name| name.parse::<u32>().is_ok()), "{line}");
    assert_eq!([said(&mut guests[1]), said(&mut guests[2])], [&line[..], &line[..]]);
    guests[0].write(&text("who is it?"));
    let other = said(&mut guests[2]);
    assert!(other.ends_with(": who is it?"), "{other}");
    assert_ne!(other.split(':').next(), line.split(':').next(), "each has a number of its own");
    guests[2].write(&binary(b"?"));
    assert_eq!(guests[2].close_code(), 1003, "text only");
}

#[test]
fn prices_come_from_a_thread_to_everybody_in_the_room() {
    let prices = Embedder::start(&example("prices"));
    let mut clients = [(); 2].map(|()| Client::open(prices.address(), "/room/prices"));
    let heard = [(); 5].map(|()| said(&mut clients[1]));
    for price in &heard {
        let is_price = price.split_once('.').is_some_and(|(whole, cents)| {
            whole.parse::<u32>().is_ok() && cents.len() == 2 && cents.parse::<u8>().is_ok()
        });
        assert!(is_price, "{price}");
    }
    // Who was there before hears the same, behind what was published until then.
    let mut earlier = Vec::new();
    while !earlier.ends_with(&heard) {
        earlier.push(said(&mut clients[0]));
        assert!(earlier.len() < 1000, "{heard:?} does not come in {earlier:?}");
    }
}

#[test]
fn auth_lets_nothing_through_before_another_thread_has_answered() {
    let auth = Embedder::start(&example("auth"));
    let mut friend = Client::open(auth.address(), "/door");
    // All of it at once: what comes behind the token waits for the answer.
    friend.write(&[text("open sesame"), text("one"), text("two")].concat());
    let lines = [(); 3].map(|()| said(&mut friend));
    assert_eq!(lines, ["welcome, Ali Baba", "one", "two"]);
    let mut stranger = Client::open(auth.address(), "/door");
    stranger.write(&[text("open barley"), text("one")].concat());
    assert_eq!(stranger.close_code(), 1008, "and nothing comes back");
}
