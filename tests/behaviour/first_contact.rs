//! What people try first, and what they are told where it does not work.

use std::time::Duration;

use testkit::client::{Address, Client, Response, handshake, text};
use throng::config::{Backend, Config, ListenAddr, RoomRule, RoomRules, Routes};
use throng::server::Server;
use throng::stats::Refusal;

use crate::proxy::{Kind, Proxy};
use crate::support::{PATIENCE, clients, server};

on_both!(
    an_address_without_a_path_leads_to_the_lobby,
    paths_lead_to_rooms_as_the_operator_says,
    an_upgrade_at_an_unknown_path_names_those_that_there_are,
    pages_of_a_development_server_may_connect,
    a_page_behind_a_proxy_learns_what_lets_it_in,
    a_page_learns_by_an_ordinary_request_why_it_was_refused,
    rules_say_what_may_be_done_in_a_room,
    the_first_of_each_kind_of_refusal_is_logged,
    what_we_close_for_a_limit_is_logged,
    one_in_so_many_requests_is_logged,
);

/// A server of this process, which no option of the command line is needed for.
pub(crate) fn start(backend: Backend, config: Config) -> (Server, Address) {
    let listen = vec!["127.0.0.1:0".parse().expect("it is an address")];
    let config = Config { listen, workers: 2, backend, ping_interval: Duration::ZERO, ..config };
    let server = Server::start(config).expect("nothing is in the way");
    let ListenAddr::Tcp(address) = server.addresses()[0] else { panic!("TCP was asked for") };
    (server, address.into())
}

/// An upgrade at a path, of a client that asks for that host.
fn upgrade(address: &Address, path: &str, host: &str, lines: &[&str]) -> Response {
    let mut client = Client::connect(address).expect("the server listens");
    client.write(handshake(path, lines).replace("throng.test", host).as_bytes());
    client.response()
}

fn body(response: &Response) -> &str {
    std::str::from_utf8(&response.body).expect("what people are told is UTF-8")
}

fn an_address_without_a_path_leads_to_the_lobby(backend: Backend) {
    let server = server(backend, &[]);
    let [mut one, mut two]: [Client; 2] = clients(server.address(), "/");
    let mut named = Client::open(server.address(), "/room/lobby");
    one.write(&text("hello"));
    for client in [&mut one, &mut two, &mut named] {
        assert_eq!(client.frame().payload, b"hello");
    }
    let mut page = Client::connect(server.address()).expect("the server listens");
    page.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let page = page.response();
    assert_eq!((page.status, page.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
}

fn paths_lead_to_rooms_as_the_operator_says(backend: Backend) {
    let pairs = [("/chat", "tea"), ("/live/a", "tea"), ("/caf%C3%A9", "café")];
    let pairs = pairs.map(|(path, room)| (path.to_owned(), room.to_owned()));
    let routes = Routes::new(pairs).expect("they are good");
    let (_server, address) = start(backend, Config { routes, ..Config::default() });
    let mut tea = ["/chat", "/live/a", "/room/tea", "/chat?x=1"].map(|p| Client::open(&address, p));
    tea[0].write(&text("hello"));
    tea.iter_mut().for_each(|client| assert_eq!(client.frame().payload, b"hello"));
    let mut other = ["/caf%C3%A9", "/room/caf%C3%A9"].map(|path| Client::open(&address, path));
    other[0].write(&text("salut"));
    other.iter_mut().for_each(|client| assert_eq!(client.frame().payload, b"salut"));
    let lost = upgrade(&address, "/", "a", &[]);
    assert_eq!(lost.status, 404, "named routes are all there are");
    assert!(body(&lost).contains("/chat, /live/a"), "{}", body(&lost));
}

fn an_upgrade_at_an_unknown_path_names_those_that_there_are(backend: Backend) {
    let server = server(backend, &[]);
    let lost = upgrade(server.address(), "/ws?token=secret", "a", &[]);
    assert_eq!(lost.status, 404);
    let paths = "nothing here: try /, /echo, /room/NAME or /rooms/NAME";
    assert_eq!(body(&lost).trim_end(), paths);
    let line = format!("refused with 404 GET \"/ws\": {paths}");
    assert!(server.wait_for_log(&line, PATIENCE), "{}", server.log());
    assert!(!server.log().contains("secret"), "{}", server.log());
}

fn pages_of_a_development_server_may_connect(backend: Backend) {
    let local = server(backend, &[]);
    let port = local.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    for host in &hosts {
        for origin in ["http://localhost:3000", "http://127.0.0.1:5173", "https://[::1]:3000"] {
            let answer = upgrade(local.address(), "/", host, &[&format!("Origin: {origin}")]);
            assert_eq!(answer.status, 101, "{origin} to {host}");
        }
        for origin in ["http://evil.example", "null", "http://localhost.evil.example:3000"] {
            let answer = upgrade(local.address(), "/", host, &[&format!("Origin: {origin}")]);
            assert_eq!(answer.status, 403, "{origin} to {host}");
        }
    }
    let open = server(backend, &["--listen", "0.0.0.0:0"]);
    let (port, address) = (open.port(), format!("127.0.0.1:{}", open.port()));
    let address: Address = address.parse().expect("it is an address");
    let host = format!("127.0.0.1:{port}");
    let same = format!("Origin: http://localhost:{port}");
    assert_eq!(upgrade(&address, "/", &host, &[&same]).status, 101, "the same server's page");
    let other = upgrade(&address, "/", &host, &["Origin: http://localhost:3000"]);
    assert_eq!(other.status, 403, "it can be reached from elsewhere");
}

/// nginx's usual block passes no `Host` on, so that its own name for the server is asked for.
fn a_page_behind_a_proxy_learns_what_lets_it_in(backend: Backend) {
    let server = server(backend, &["--allowed-origins", "https://other.example"]);
    let usual = Proxy::before(server.address(), Kind::NginxWithoutHost);
    let good = Proxy::before(server.address(), Kind::NginxSubPath);
    let (Some(usual), Some(good)) = (usual, good) else { return };
    let origin = "https://chat.example";
    let line = format!("Origin: {origin}");
    let refused = upgrade(usual.address(), "/room/a", "chat.example", &[&line]);
    assert_eq!(refused.status, 403);
    for remedy in [&format!("--allowed-origins {origin}")[..], "proxy_set_header Host $http_host;"]
    {
        assert!(body(&refused).contains(remedy), "{}", body(&refused));
        assert!(server.wait_for_log(remedy, PATIENCE), "{}", server.log());
    }
    let lines = ["Origin: https://other.example"];
    let allowed = upgrade(usual.address(), "/room/a", "chat.example", &lines);
    assert_eq!(allowed.status, 101, "so the option does what it is said to");
    let passed = upgrade(good.address(), "/chat/room/a", "chat.example", &[&line]);
    assert_eq!(passed.status, 101, "and so does the field");
}

fn a_page_learns_by_an_ordinary_request_why_it_was_refused(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(
        b"GET /room/a?origin=https%3A%2F%2Fchat.example HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
    );
    let refused = client.response();
    assert_eq!(refused.status, 403);
    assert!(body(&refused).contains("--allowed-origins https://chat.example"));
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write(b"GET /room/a?origin=http%3A%2F%2Fa HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 426, "nothing but the upgrade is missing");
}

fn rules_say_what_may_be_done_in_a_room(backend: Backend) {
    let rule = |matches: &str| RoomRule { matches: matches.to_owned(), ..RoomRule::default() };
    let rooms = RoomRules::new(vec![
        RoomRule { enabled: false, ..rule("closed-*") },
        RoomRule { client_publish: false, ..rule("news") },
        RoomRule { echo_to_sender: false, ..rule("game") },
    ]);
    let rooms = rooms.expect("they are good");
    let (server, address) = start(backend, Config { rooms, ..Config::default() });
    let closed = upgrade(&address, "/room/closed-1", "a", &[]);
    assert_eq!(closed.status, 403);
    assert!(body(&closed).contains("enabled = false"), "{}", body(&closed));

    let [mut reader, mut writer]: [Client; 2] = clients(&address, "/room/news");
    writer.write(&text("hello"));
    let close = writer.frame();
    assert_eq!(close.close_code(), Some(1008));
    assert!(close.payload.ends_with(b"clients do not publish in this room"));
    server.handle().publish("news", throng::wire::Kind::Text, b"news").expect("nobody is slow");
    assert_eq!(reader.frame().payload, b"news", "and nothing before it");

    let [mut player, mut other]: [Client; 2] = clients(&address, "/room/game");
    player.write(&text("move"));
    assert_eq!(other.frame().payload, b"move");
    other.write(&text("mine"));
    assert_eq!(player.frame().payload, b"mine", "its own does not come");
    assert_eq!(refusals(&server, Refusal::RoomDisabled), 1);
}

/// Of all workers.
fn refusals(server: &Server, why: Refusal) -> u64 {
    let count =
        |counters: &std::sync::Arc<throng::stats::Counters>| counters.refusals.of(why).get();
    server.monitor().counters().iter().map(count).sum()
}

fn the_first_of_each_kind_of_refusal_is_logged(backend: Backend) {
    let server = server(backend, &["--allowed-hosts", "a.example", "--max-connections", "20"]);
    let address = server.address();
    for _ in 0..3 {
        let wrong = upgrade(address, "/echo", "evil.example", &[]);
        assert_eq!(wrong.status, 421);
    }
    let mut client = Client::connect(address).expect("the server listens");
    client.write(b"GET /echo HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 426);
    let mut client = Client::connect(address).expect("the server listens");
    client.write(b"\x16\x03\x01\x02");
    assert_eq!(client.response().status, 400);
    let held: Vec<Client> =
        (0..40).map(|_| Client::connect(address).expect("it listens")).collect();
    for line in [
        "refused with 421 GET \"/echo\": the host \"evil.example\" is not served here; the \
         server's option --allowed-hosts",
        "refused with 426 GET \"/echo\": this path speaks WebSocket",
        "refused with 400: not an HTTP/1.1 request; such bytes also come of https://",
        "refused with 503: no room for more connections now; --max-connections",
    ] {
        assert!(server.wait_for_log(line, PATIENCE), "{line}\n{}", server.log());
    }
    drop(held);
    let lines = server.log().matches("refused with 421").count();
    assert_eq!(lines, 1, "the others come with a line of later:\n{}", server.log());
}

fn what_we_close_for_a_limit_is_logged(backend: Backend) {
    let server = server(backend, &["--max-message-size", "1KiB"]);
    let mut client = Client::open(server.address(), "/echo");
    client.write(&text(&"x".repeat(2000)));
    assert_eq!(client.close_code(), 1009);
    let line = "is closed (message_too_big): its message is larger than \
                --max-message-size";
    assert!(server.wait_for_log(line, PATIENCE), "{}", server.log());
}

fn one_in_so_many_requests_is_logged(backend: Backend) {
    let log = crate::captured::log();
    let mark = format!("/access-{}", crate::support::name(backend));
    let (_server, address) = start(backend, Config { access_log: 3, ..Config::default() });
    let mut client = Client::connect(&address).expect("the server listens");
    let agent = format!("User-Agent: {}", "agent".repeat(100));
    for number in 0..7 {
        let request =
            format!("GET {mark}-{number}?token=secret HTTP/1.1\r\nHost: a\r\n{agent}\r\n\r\n");
        client.write(request.as_bytes());
        assert_eq!(client.response().status, 404);
    }
    let lines: Vec<String> = log.lines_with(&mark);
    let numbers: Vec<bool> =
        [2, 5].map(|n| lines.iter().any(|l| l.contains(&format!("{mark}-{n}")))).into();
    assert_eq!((lines.len(), &numbers[..]), (2, &[true, true][..]), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("status=404") && line.contains("upgrade=false")));
    assert!(lines.iter().all(|line| !line.contains("secret") && line.len() < 400), "{lines:?}");
}
