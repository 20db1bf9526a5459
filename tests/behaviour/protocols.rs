//! Protocols of one's own, on the real server.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testkit::client::{Address, Client, close, ping, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::protocol::{echo, room};
use throng::server::{Questions, Server};
use throng::wire::Kind;

use crate::counter::{Counter, MayBeCalled};
use crate::support::comes_to_hold;

on_both!(
    a_protocol_of_ones_own_is_one_line_in_the_list,
    messages_wait_for_an_answer_and_pings_do_not,
    an_answer_that_nobody_gives_is_one_too,
    where_nobody_answers_nobody_waits,
    those_who_answer_hear_of_the_end,
    who_publishes_to_others_does_not_get_it,
    who_is_closed_and_does_not_answer_is_gone_soon,
    the_handle_publishes_to_every_worker_in_order
);

throng::protocols! {
    /// What these servers speak.
    Ours, Spoken, Setups:
    Counter = counter: Counter,
    Echo = echo: echo::Echo,
    Room = room: room::Room,
}

fn start(backend: Backend, workers: usize) -> (Server, Address) {
    let listen = vec!["127.0.0.1:0".parse().expect("it is an address")];
    let config =
        Config { listen, workers, backend, ping_interval: Duration::ZERO, ..Config::default() };
    let setups = Setups { counter: "presses".to_owned(), ..Setups::default() };
    let server = Server::start_with::<Ours>(config, setups).expect("nothing is in the way");
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, address.into())
}

/// Says what each who asks may be called, until it is told to stop. `silent` gets no answer, and
/// `slow` only when the test lets it.
fn answering(mut questions: Questions, go: mpsc::Receiver<()>) -> JoinHandle<()> {
    thread::spawn(move || {
        loop {
            let asked = questions.next(Duration::from_secs(100)).expect("poll works");
            let Some(asked) = asked else { continue };
            let MayBeCalled(name) = asked.body().expect("nothing else is asked");
            match &name.clone()[..] {
                "silent" => {}
                "stop" => return asked.answer("stopped".to_owned()),
                "slow" => {
                    go.recv().expect("the test lets it");
                    asked.answer("slow".to_owned());
                }
                name => asked.answer(name.to_uppercase()),
            }
        }
    })
}

fn said(client: &mut Client) -> String {
    String::from_utf8(client.frame().payload).expect("it is text")
}

/// As `said`, without the ticks of a timer.
fn said_beside_ticks(client: &mut Client) -> String {
    loop {
        let said = said(client);
        if !said.starts_with("tick ") {
            return said;
        }
    }
}

fn a_protocol_of_ones_own_is_one_line_in_the_list(backend: Backend) {
    let (server, address) = start(backend, 2);
    let (_go, gone) = mpsc::channel();
    let thread = answering(server.questions(), gone);
    let mut clients = [(); 8].map(|()| Client::open(&address, "/counter"));
    for client in &mut clients {
        assert_eq!(said(client), "welcome");
    }
    clients[0].write(&text("press"));
    for client in &mut clients {
        assert_eq!(said(client), "pressed");
    }
    for (number, client) in clients.iter_mut().enumerate() {
        client.write(&[text("who"), text(&format!("name:n{number}")), text("who")].concat());
        assert_eq!(said(client), "nobody");
        assert_eq!(said(client), "named");
        assert_eq!(said_beside_ticks(client), format!("N{number}"));
    }
    for client in &mut clients {
        let ticks = std::iter::from_fn(|| Some(said(client))).filter(|said| said == "tick 2");
        assert_eq!(ticks.take(1).count(), 1);
    }
    let mut echo = Client::open(&address, "/echo");
    echo.write(&text("as ever"));
    assert_eq!(said(&mut echo), "as ever");
    clients[0].write(&text("nonsense"));
    while clients[0].frame().opcode() != 8 {}
    clients[1].write(&text("name:stop"));
    thread.join().expect("it was told to stop");
    server.stop();
    for client in &mut clients[1..] {
        client.write(&close(1001));
    }
    drop(clients);
    drop(echo);
    server.join().expect("no worker fails");
}

fn messages_wait_for_an_answer_and_pings_do_not(backend: Backend) {
    let (server, address) = start(backend, 1);
    let (go, gone) = mpsc::channel();
    let thread = answering(server.questions(), gone);
    let mut client = Client::open(&address, "/counter");
    assert_eq!(said(&mut client), "welcome");
    client.write(&[text("name:slow"), text("who"), ping(b"here?")].concat());
    assert_eq!(client.frame().payload, b"here?", "the pong does not wait");
    // More than is kept for who is parked: the rest stays in the kernel.
    let many = 50_000;
    let writing = thread::spawn({
        let mut writer = client.writer();
        move || (0..many).for_each(|_| writer.write(&text("who")))
    });
    go.send(()).expect("it waits");
    assert_eq!(said(&mut client), "named");
    for _ in 0..=many {
        assert_eq!(said_beside_ticks(&mut client), "slow");
    }
    writing.join().expect("all is read");
    client.write(&text("name:stop"));
    thread.join().expect("it was told to stop");
}

fn an_answer_that_nobody_gives_is_one_too(backend: Backend) {
    let (server, address) = start(backend, 1);
    let mut client = Client::open(&address, "/counter");
    assert_eq!(said(&mut client), "welcome");
    let mut other = Client::open(&address, "/counter");
    other.write(&text("name:who asks and goes"));
    drop(other);
    client.write(&[text("name:silent"), text("who")].concat());
    let (_go, gone) = mpsc::channel();
    let thread = answering(server.questions(), gone);
    assert_eq!(said(&mut client), "not named");
    assert_eq!(said(&mut client), "nobody");
    client.write(&text("name:stop"));
    thread.join().expect("it was told to stop");
}

fn where_nobody_answers_nobody_waits(backend: Backend) {
    let (server, address) = start(backend, 2);
    let mut clients = [(); 4].map(|()| Client::open(&address, "/counter"));
    let ask = |clients: &mut [Client]| {
        clients.iter_mut().for_each(|client| client.write(&[text("name:x"), text("who")].concat()));
    };
    let hear = |clients: &mut [Client]| {
        for client in clients {
            assert_eq!([said(client), said(client)], ["not named", "nobody"]);
        }
    };
    clients.iter_mut().for_each(|client| assert_eq!(said(client), "welcome"));
    ask(&mut clients);
    hear(&mut clients);
    let (mut first, second) = (server.questions(), server.questions());
    ask(&mut clients);
    drop(second);
    // One is taken and not answered, and the others are left lying.
    while first.next(Duration::from_secs(1)).expect("poll works").is_none() {}
    drop(first);
    hear(&mut clients);
    ask(&mut clients);
    hear(&mut clients);
    assert_eq!(server.counts().questions_unanswered, 0, "none was waited for");
}

fn those_who_answer_hear_of_the_end(backend: Backend) {
    let (server, _address) = start(backend, 2);
    let mut questions = server.questions();
    assert!(!questions.has_ended());
    let thread = thread::spawn(move || {
        while !questions.has_ended() {
            let asked = questions.next(Duration::from_secs(100)).expect("poll works");
            assert!(asked.is_none(), "nobody asks");
        }
    });
    server.stop();
    server.join().expect("no worker fails");
    thread.join().expect("it has ended");
}

fn who_is_closed_and_does_not_answer_is_gone_soon(backend: Backend) {
    let (server, address) = start(backend, 1);
    let mut client = Client::open(&address, "/counter");
    assert_eq!(said(&mut client), "welcome");
    client.write(&text("nonsense"));
    assert_eq!(client.close_code(), 1008);
    assert!(comes_to_hold(|| server.counts().connections() == 0), "though it says nothing more");
}

fn who_publishes_to_others_does_not_get_it(backend: Backend) {
    let (_server, address) = start(backend, 2);
    let mut clients = [(); 6].map(|()| Client::open(&address, "/counter"));
    for client in &mut clients {
        assert_eq!(said(client), "welcome");
    }
    let lines = ["press", "others", "press", "others"].map(text).concat();
    clients[0].write(&lines);
    for client in &mut clients[1..] {
        let heard = [(); 4].map(|()| said(client));
        assert_eq!(heard, ["pressed", "for you", "pressed", "for you"]);
    }
    clients[0].write(&text("who"));
    assert_eq!([(); 3].map(|()| said(&mut clients[0])), ["pressed", "pressed", "nobody"]);
}

fn the_handle_publishes_to_every_worker_in_order(backend: Backend) {
    let (server, address) = start(backend, 3);
    let mut clients: Vec<Client> = (0..9).map(|_| Client::open(&address, "/room/a")).collect();
    let mut elsewhere = Client::open(&address, "/room/b");
    let handle = server.handle();
    for number in 0..2000 {
        let message = format!("{number}");
        // Workers may be behind for a moment.
        while handle.publish("a", Kind::Text, message.as_bytes()).is_err() {
            thread::yield_now();
        }
    }
    for client in &mut clients {
        for number in 0..2000 {
            assert_eq!(said(client), format!("{number}"));
        }
    }
    handle.publish("b", Kind::Binary, b"only here").expect("nobody is behind");
    let frame = elsewhere.frame();
    assert_eq!((frame.opcode(), &frame.payload[..]), (2, &b"only here"[..]));
}
