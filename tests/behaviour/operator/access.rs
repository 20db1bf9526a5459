//! Who may call.

use testkit::client::Client;
use testkit::process::Signal;
use throng::config::Backend;

use super::{Operated, operated_launch, request};
use crate::support::{PATIENCE, PROGRAM, Scratch, comes_to_hold, free_port, launch};

#[test]
fn with_a_key_everything_but_probes_and_the_page_wants_it() {
    let launch = operated_launch(Backend::Epoll, &[]).env("THRONG_OPERATOR_KEY", "open-sesame");
    let server = Operated::of(launch.start());
    let get = |path, fields: &[(&str, &str)]| request(&server.operator, "GET", path, fields, b"");
    for path in ["/health", "/ready"] {
        assert_eq!(get(path, &[]).status, 200, "{path}");
    }
    for path in ["/api/rooms", "/api/connections", "/events", "/nothing", "/metrics"] {
        let refused = get(path, &[]);
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.field("WWW-Authenticate"), Some("Bearer"));
        assert_eq!(get(path, &[("X-API-Key", "open-sesam")]).status, 401, "{path}");
    }
    for field in [
        ("Authorization", "Bearer open-sesame"),
        ("X-API-Key", "open-sesame"),
        ("authorization", "apikey open-sesame"),
    ] {
        let fields = [field, ("Host", "ops.example")];
        assert_eq!(get("/api/rooms", &fields).status, 200, "{field:?}");
    }
    assert!(!server.process.log().contains("open-sesame"));
}

#[test]
fn another_key_holds_from_the_reload_on() {
    let scratch = Scratch::new();
    let file = scratch.path().join("throng.toml");
    let write = |key: &str| {
        std::fs::write(&file, format!("operator.key = \"{key}\"\n")).expect("the folder is ours");
    };
    write("the-first");
    let path = file.to_str().expect("its path is UTF-8");
    let server = Operated::start(Backend::Epoll, &["--config", path]);
    let status = |key| {
        let fields = [("X-API-Key", key)];
        request(&server.operator, "GET", "/api/rooms", &fields, b"").status
    };
    assert_eq!([status("the-first"), status("the-second")], [200, 401]);
    write("the-second");
    server.process.signal(Signal::SIGHUP);
    assert!(comes_to_hold(|| status("the-second") == 200));
    assert_eq!(status("the-first"), 401);
}

#[test]
fn the_page_may_load_nothing_from_elsewhere_and_stand_in_no_frame() {
    let server = Operated::start(Backend::Epoll, &[]);
    for path in ["/", "/dashboard.css", "/dashboard.js", "/feed.js", "/plot.js"] {
        let response = server.get(path);
        assert_eq!(response.status, 200, "{path}");
        let policy = response.field("Content-Security-Policy").expect("it has one");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let text = String::from_utf8(response.body).expect("it is text").replace("www.w3.org", "");
        assert!(!text.contains("https://") && !text.contains("src=\"//"), "{path}");
    }
}

#[test]
fn without_a_key_pages_of_others_reach_nothing() {
    let server = Operated::start(Backend::Epoll, &[]);
    let status = |fields: &[(&str, &str)]| {
        let body = br#"{"room":"a","data":1}"#;
        request(&server.operator, "POST", "/api/publish", fields, body).status
    };
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("Host", "rebound.example")]), 421);
    assert_eq!(status(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(status(&[("Sec-Fetch-Site", "cross-site")]), 403);
    let own = server.operator.to_string();
    let origin = format!("http://{own}");
    assert_eq!(status(&[("Origin", &origin), ("Sec-Fetch-Site", "same-origin")]), 200);
}

#[test]
fn a_port_that_others_reach_is_refused_without_a_key() {
    let refused = launch(Backend::Epoll, &["--operator", "0.0.0.0:0"]).run(PATIENCE);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("needs a key"), "{}", refused.stderr);
}

#[test]
fn a_port_in_use_is_an_error_where_it_was_asked_for() {
    let first = Operated::start(Backend::Epoll, &[]);
    let taken = first.operator.to_string();
    let second = launch(Backend::Epoll, &["--operator", &taken]).run(PATIENCE);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("the port is in use"), "{}", second.stderr);
    assert!(second.stderr.contains("--operator off"), "{}", second.stderr);
}

#[test]
fn several_servers_on_a_host_start_without_a_word_about_the_operator() {
    let start = || {
        let listen = format!("127.0.0.1:{}", free_port());
        let launch = testkit::process::Launch::new(PROGRAM).args(["--listen", &listen]);
        // An empty variable is not set: the usual port, for both.
        launch.env("THRONG_OPERATOR", "").start()
    };
    let servers = [start(), start()];
    let logs = servers.each_ref().map(|server| server.log());
    assert!(logs[1].contains("the port is in use"), "the first, or somebody, has it:\n{}", logs[1]);
    for server in &servers {
        let _: Client = Client::open(server.address(), "/echo");
    }
}
