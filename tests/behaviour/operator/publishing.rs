//! Messages that the operator publishes.

use serde_json::json;
use testkit::client::{Client, handshake};
use throng::config::Backend;

use super::{Operated, request};

on_both!(
    what_is_posted_to_a_room_comes_to_all_its_members,
    the_type_of_the_content_says_text_or_binary,
    commands_have_centrifugos_shapes,
    nobody_outside_reaches_what_is_no_room,
);

fn text_of(client: &mut Client) -> String {
    String::from_utf8(client.frame().payload).expect("it is text")
}

fn what_is_posted_to_a_room_comes_to_all_its_members(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut members: Vec<Client> = (0..6).map(|_| server.client("/room/a%20b")).collect();
    let answer = server.call("/api/rooms/a%20b", "hello");
    assert_eq!(answer, json!({"result": {"members": 6}}));
    for member in &mut members {
        assert_eq!(text_of(member), "hello");
    }
    let nobody = server.call("/api/rooms/nobody", "hello");
    assert_eq!(nobody, json!({"result": {"members": 0}}));
}

fn the_type_of_the_content_says_text_or_binary(backend: Backend) {
    let server = Operated::start(backend, &[]);
    let mut member = server.client("/room/a");
    let post = |kind: &str, body: &[u8]| {
        let fields = [("Content-Type", kind)];
        request(&server.operator, "POST", "/api/rooms/a", &fields, body).status
    };
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    for (kind, body, opcode) in [
        ("text/plain", &b"a"[..], TEXT),
        ("application/json", b"{}", TEXT),
        ("application/x-www-form-urlencoded", b"a=b", TEXT),
        ("application/octet-stream", b"a", BINARY),
        ("image/png", b"\xff", BINARY),
    ] {
        assert_eq!(post(kind, body), 200, "{kind}");
        let frame = member.frame();
        assert_eq!((frame.opcode(), &*frame.payload), (opcode, body), "{kind}");
    }
    assert_eq!(post("text/plain", b"\xff"), 400);
}

fn commands_have_centrifugos_shapes(backend: Backend) {
    let server = Operated::start(backend, &[]);
    let mut members = [server.client("/room/a"), server.client("/room/b")];
    let publish = server.call("/api/publish", r#"{"room":"a","data":{"x": [1, "y z"]}}"#);
    assert_eq!(publish, json!({"result": {}}));
    assert_eq!(text_of(&mut members[0]), r#"{"x":[1,"y z"]}"#);
    let broadcast = server.call("/api/broadcast", r#"{"rooms":["a","b",""],"b64data":"AP8="}"#);
    let bad = json!({"error": {"code": 107, "message": "bad request"}});
    assert_eq!(broadcast, json!({"result": {"responses": [{"result": {}}, {"result": {}}, bad]}}));
    for member in &mut members {
        assert_eq!(member.frame().payload, [0, 255]);
    }
    let channel = server.call("/api/publish", r#"{"channel":"a","data":1}"#);
    let unknown = json!({"code": 102, "message": "unknown channel"});
    assert_eq!(channel, json!({ "error": unknown }));
    let mode = [("X-Centrifugo-Error-Mode", "transport")];
    let body = br#"{"channel":"a","data":1}"#;
    let response = request(&server.operator, "POST", "/api/publish", &mode, body);
    assert_eq!((response.status, super::json(&response)), (404, unknown));
    let info = server.call("/api/info", "{}");
    assert_eq!(info["result"]["nodes"][0]["num_clients"], 2);
    assert_eq!(server.post("/api/publish", "{").status, 400);
    assert_eq!(server.get("/api/publish").status, 405);
    assert_eq!(server.post("/api/fly", "{}").status, 404);
}

/// Who watches a room is subscribed to a topic whose name begins with a control character.
fn nobody_outside_reaches_what_is_no_room(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut watcher = Client::connect(server.process.address()).expect("it listens");
    let offer = ["Sec-WebSocket-Protocol: throng.events"];
    watcher.write(handshake("/room/lobby", &offer).as_bytes());
    assert_eq!(watcher.response().status, 101);
    let first = text_of(&mut watcher);
    assert!(first.contains("\"members\":0"), "{first}");
    for hidden in ["\u{1}lobby", "lob\nby", "\u{7f}"] {
        let path = hidden.replace('\u{1}', "%01").replace('\n', "%0a").replace('\u{7f}', "%7f");
        assert_eq!(server.post(&format!("/api/rooms/{path}"), "no").status, 404, "{path}");
        assert_eq!(server.get(&format!("/api/connections?room={path}")).status, 400, "{path}");
        let publish = json!({"room": hidden, "data": "no"});
        let broadcast = json!({"rooms": [hidden, "lobby"], "data": "yes"});
        let disconnect = json!({"room": hidden});
        let code = |path: &str, body: &serde_json::Value| {
            server.call(path, body.to_string())["error"]["code"].clone()
        };
        assert_eq!(code("/api/publish", &publish), 107);
        assert_eq!(code("/api/disconnect", &disconnect), 107);
        let answer = server.call("/api/broadcast", broadcast.to_string());
        let responses = &answer["result"]["responses"];
        assert_eq!(responses[0]["error"]["code"], 107, "{answer}");
        assert_eq!(responses[1], json!({"result": {}}));
        let batch = json!({"commands": [{ "publish": publish }, { "disconnect": disconnect }]});
        let replies = server.call("/api/batch", batch.to_string());
        let codes = [0, 1].map(|at| replies["replies"][at]["error"]["code"].clone());
        assert_eq!(codes, [107, 107]);
    }
    let _member = server.client("/room/lobby");
    let next = text_of(&mut watcher);
    assert!(next.contains("\"members\":1"), "nothing else has come before: {next}");
}
