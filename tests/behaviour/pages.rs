//! The chat page and what HTTP/1.1 promises about the connection that it comes over.

use testkit::client::{Client, End, Response, handshake, text};
use throng::config::Backend;

use crate::support::{PATIENCE, server};

on_both!(
    the_page_comes_with_its_policy,
    requests_may_be_pipelined,
    a_head_request_gets_the_head,
    a_connection_ends_where_the_client_says_so,
    a_websocket_may_follow_a_page,
    a_page_asked_for_before_a_fin_comes_whole,
);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn the_page_comes_with_its_policy(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    for (path, media_type, part) in [
        ("/", "text/html; charset=utf-8", "chat.js"),
        ("/?room=x", "text/html; charset=utf-8", "chat.css"),
        ("/chat.css", "text/css; charset=utf-8", "{"),
        ("/chat.js", "text/javascript; charset=utf-8", "WebSocket"),
    ] {
        client.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let page = client.response();
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.field("Content-Type"), Some(media_type), "{path}");
        assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"), "{path}");
        let policy = page.field("Content-Security-Policy").expect("every file has it");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let body = String::from_utf8(page.body).expect("pages are UTF-8");
        assert!(body.contains(part), "{path}:\n{body}");
    }
}

fn requests_may_be_pipelined(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    let requests = [GET, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", GET].concat();
    for pieces in [&[][..], &[10, 40, 40]] {
        client.write_in_pieces(requests.as_bytes(), pieces);
        let responses = [client.response(), client.response(), client.response()];
        assert_eq!(responses.each_ref().map(|response| response.status), [200, 404, 200]);
        assert_eq!(responses[0].body, responses[2].body);
        assert_eq!(responses[1].field("Connection"), Some("keep-alive"));
    }
}

/// The head without its date, which is another one a second later.
fn undated(response: &Response) -> Vec<&str> {
    response.head.lines().filter(|line| !line.starts_with("Date: ")).collect()
}

fn a_head_request_gets_the_head(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    client.write([GET.replacen("GET", "HEAD", 1).as_str(), GET].concat().as_bytes());
    let head = client.response_to_head();
    let page = client.response();
    assert_eq!(undated(&head), undated(&page), "the same but for the body");
    assert_eq!(head.field("Content-Length"), Some(page.body.len().to_string().as_str()));
}

fn a_connection_ends_where_the_client_says_so(backend: Backend) {
    let server = server(backend, &[]);
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut client = Client::connect(server.address()).expect("the server listens");
        client.write([request, GET].concat().as_bytes());
        let response = client.response();
        assert_eq!((response.status, response.field("Connection")), (200, Some("close")));
        let rest = client.rest(PATIENCE);
        assert_eq!((rest.end, rest.bytes), (End::Fin, vec![]), "nothing behind it is answered");
    }
}

fn a_websocket_may_follow_a_page(backend: Backend) {
    let server = server(backend, &[]);
    let mut client = Client::connect(server.address()).expect("the server listens");
    let head = handshake("/echo", &[]);
    client.write(&[GET.as_bytes(), head.as_bytes(), &text("hello")].concat());
    assert_eq!(client.response().status, 200);
    assert_eq!(client.response().status, 101);
    assert_eq!(client.frame().payload, b"hello");
}

fn a_page_asked_for_before_a_fin_comes_whole(backend: Backend) {
    let server = server(backend, &[]);
    for _ in 0..20 {
        let mut client = Client::connect(server.address()).expect("the server listens");
        client.write(GET.as_bytes());
        client.finish();
        assert_eq!(client.response().status, 200);
        assert_eq!(client.rest(PATIENCE).end, End::Fin);
    }
}
