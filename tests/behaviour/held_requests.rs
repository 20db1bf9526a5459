//! Requests that the worker holds, with their bodies, until somebody outside has answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use testkit::client::{Address, Client, text};
use throng::config::{Backend, Config, ListenAddr};
use throng::http::{Held, Method, Response, Status};
use throng::limits::HELD_REQUESTS_MAX;
use throng::server::{Questions, Server};

use crate::support::{PATIENCE, comes_to_hold, ms};

on_both!(
    a_body_in_pieces_comes_whole_and_the_next_request_waits_for_the_answer,
    a_body_that_is_announced_is_asked_for,
    what_is_too_long_or_has_no_length_is_refused_and_its_bytes_are_no_request,
    where_nobody_answers_it_is_said_so,
    who_goes_away_before_the_answer_leaves_nothing,
    who_takes_the_place_of_one_that_has_asked_may_ask,
    who_has_finished_has_its_answer_all_the_same,
    no_more_are_held_than_there_are_places,
    without_the_option_there_is_nothing_and_bodies_are_refused,
);

fn start(backend: Backend, api_public: bool) -> (Server, Address) {
    let listen = vec!["127.0.0.1:0".parse().expect("it is one")];
    let config = Config { listen, workers: 2, backend, api_public, ..Config::default() };
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(tcp) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, tcp.into())
}

/// Answers with what it was asked, until the server ends.
fn answer_all(mut questions: Questions, may_go_on: Arc<AtomicBool>) -> JoinHandle<usize> {
    thread::spawn(move || {
        let mut answered = 0;
        while !questions.has_ended() {
            let asked = questions.next(Duration::from_millis(20)).expect("the kernel's interface");
            let Some(asked) = asked else { continue };
            while !may_go_on.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            let held = asked.body::<Held>().expect("nothing else is asked");
            let query = held.query.as_deref().unwrap_or("none");
            let words = format!("{:?} {} {query} {}", held.method, held.path, held.body.len());
            let sum: u64 = held.body.iter().map(|byte| u64::from(*byte)).sum();
            let is_good = held.method == Method::Get || held.fields.len() >= 2;
            assert!(is_good, "the fields come with it: {held:?}");
            let answer = format!("{words} {sum}\n");
            asked.answer(Response::of_type(Status::Ok, "text/plain", answer));
            answered += 1;
        }
        answered
    })
}

fn post(path: &str, body: &[u8], lines: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn yes() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn a_body_in_pieces_comes_whole_and_the_next_request_waits_for_the_answer(backend: Backend) {
    let (server, address) = start(backend, true);
    let may_answer = Arc::new(AtomicBool::new(false));
    let answering = answer_all(server.questions(), Arc::clone(&may_answer));
    let body: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let mut client = Client::connect(&address).expect("it listens");
    let requests = [
        post("/api/x?y=1", &body, ""),
        b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        post("/api/z", b"abc", ""),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
    ];
    client.write_in_pieces(&requests.concat(), &[1, 50, 100, 70_000, 3, 60_000]);
    // Others are served while one waits.
    let mut other = Client::open(&address, "/echo");
    other.write(&text("meanwhile"));
    assert_eq!(other.frame().payload, b"meanwhile");
    may_answer.store(true, Ordering::Relaxed);
    let expected = [
        format!("Post /api/x y=1 200000 {sum}\n"),
        "Get /health none 0 0\n".to_owned(),
        "Post /api/z none 3 294\n".to_owned(),
    ];
    for expected in expected {
        let response = client.response();
        assert_eq!((response.status, str::from_utf8(&response.body)), (200, Ok(&*expected)));
    }
    assert!(client.response().body.starts_with(b"<!"), "the page comes behind them");
    drop((client, other));
    drop(server);
    assert_eq!(answering.join().expect("it does not panic"), 3);
}

fn a_body_that_is_announced_is_asked_for(backend: Backend) {
    let (server, address) = start(backend, true);
    let _answering = answer_all(server.questions(), yes());
    let mut client = Client::connect(&address).expect("it listens");
    let whole = post("/api/x", b"hello", "Expect: 100-continue\r\n");
    let (head, body) = whole.split_at(whole.len() - 5);
    client.write(head);
    let interim = client.response_to_head();
    assert_eq!(interim.status, 100);
    client.write(body);
    assert_eq!(client.response().body, b"Post /api/x none 5 532\n");
}

fn what_is_too_long_or_has_no_length_is_refused_and_its_bytes_are_no_request(backend: Backend) {
    let (server, address) = start(backend, true);
    let _answering = answer_all(server.questions(), yes());
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    let inner_length = inner.len();
    for (request, status) in [
        ("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n".to_owned(), 413),
        (format!("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", u128::MAX), 413),
        ("POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("PUT /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(), 405),
        (
            format!("OPTIONS /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: {inner_length}\r\n\r\n"),
            204,
        ),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {inner_length}\r\n\r\n"), 413),
    ] {
        let mut client = Client::connect(&address).expect("it listens");
        client.write((request.clone() + inner).as_bytes());
        let response = client.response();
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.field("Connection"), Some("close"), "{request}");
        let rest = client.rest(Duration::from_secs(120));
        assert!(rest.bytes.is_empty(), "nothing is made of the body: {request}");
    }
}

fn where_nobody_answers_it_is_said_so(backend: Backend) {
    let (server, address) = start(backend, true);
    let mut client = Client::connect(&address).expect("it listens");
    for _ in 0..3 {
        client.write(&post("/api/x", b"hello", ""));
        let response = client.response();
        assert_eq!(response.status, 503);
        assert!(response.field("Retry-After").is_some());
    }
    drop(server);
}

fn who_goes_away_before_the_answer_leaves_nothing(backend: Backend) {
    let (server, address) = start(backend, true);
    let may_answer = Arc::new(AtomicBool::new(false));
    let _answering = answer_all(server.questions(), Arc::clone(&may_answer));
    for _ in 0..20 {
        let mut client = Client::connect(&address).expect("it listens");
        client.write(&post("/api/x", b"hello", ""));
        client.reset();
    }
    assert!(comes_to_hold(|| server.counts().connections() == 0));
    may_answer.store(true, Ordering::Relaxed);
    let mut client = Client::connect(&address).expect("it listens");
    client.write(&post("/api/y", b"hello", ""));
    assert_eq!(client.response().body, b"Post /api/y none 5 532\n");
}

fn who_takes_the_place_of_one_that_has_asked_may_ask(backend: Backend) {
    let (server, address) = start(backend, true);
    let _answering = answer_all(server.questions(), yes());
    for round in 0..20 {
        let mut client = Client::connect(&address).expect("it listens");
        // The next waits behind the answer, and the connection has more to do when it comes.
        let health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write(&[&health[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        assert_eq!(client.response().status, 200, "{round}");
        assert!(client.response().body.starts_with(b"<!"), "{round}");
    }
}

fn who_has_finished_has_its_answer_all_the_same(backend: Backend) {
    let (server, address) = start(backend, true);
    let _answering = answer_all(server.questions(), yes());
    for _ in 0..50 {
        let mut client = Client::connect(&address).expect("it listens");
        client.write(&[post("/api/x", b"hello", ""), post("/api/y", b"hello", "")].concat());
        client.finish();
        assert_eq!(client.response().body, b"Post /api/x none 5 532\n");
        assert_eq!(client.response().body, b"Post /api/y none 5 532\n");
        assert!(client.rest(PATIENCE).bytes.is_empty());
    }
    assert!(comes_to_hold(|| server.counts().connections() == 0));
}

fn no_more_are_held_than_there_are_places(backend: Backend) {
    let (server, address) = start(backend, true);
    let may_answer = Arc::new(AtomicBool::new(false));
    let _answering = answer_all(server.questions(), Arc::clone(&may_answer));
    let all = 2 * HELD_REQUESTS_MAX + 20;
    let whole = post("/api/x", b"hello", "");
    let mut clients: Vec<Client> = (0..all)
        .map(|_| {
            let mut client = Client::connect(&address).expect("it listens");
            // Its body has not come whole, and it has its place already.
            client.write(&whole[..whole.len() - 1]);
            client
        })
        .collect();
    let is_refused = |client: &mut Client| client.some(ms(1)).is_ok_and(|it| !it.is_empty());
    let mut refused = 0;
    assert!(comes_to_hold(|| {
        refused += clients.iter_mut().filter_map(|client| is_refused(client).then_some(())).count();
        refused >= 20
    }));
    may_answer.store(true, Ordering::Relaxed);
    drop(clients);
    assert!(comes_to_hold(|| server.counts().connections() == 0));
    let mut client = Client::connect(&address).expect("it listens");
    client.write(&post("/api/y", b"hello", ""));
    assert_eq!(client.response().status, 200, "places are given back");
}

fn without_the_option_there_is_nothing_and_bodies_are_refused(backend: Backend) {
    let (server, address) = start(backend, false);
    for (request, status) in [
        (post("/api/x", b"hello", ""), 413),
        (post("/api/x", b"", ""), 405),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 404),
    ] {
        let mut client = Client::connect(&address).expect("it listens");
        client.write(&request);
        assert_eq!(client.response().status, status);
    }
    drop(server);
}
