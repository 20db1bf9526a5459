//! Clients that the operator closes.

use serde_json::json;
use testkit::client::Client;
use throng::config::Backend;

use super::Operated;

on_both!(one_connection_is_closed_by_its_name, all_of_a_room_or_of_a_host_are_closed);

fn close_of(client: &mut Client) -> (u16, String) {
    let frame = client.frame();
    let code = frame.close_code().expect("it is a close frame");
    (code, String::from_utf8_lossy(&frame.payload[2..]).into_owned())
}

fn one_connection_is_closed_by_its_name(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut client = server.client("/room/a");
    let _other = server.client("/room/b");
    let listed = server.value("/api/connections?room=a");
    let name = listed["connections"][0]["client"].as_str().expect("it is listed").to_owned();
    let answer = server.call("/api/disconnect", json!({ "client": name }).to_string());
    assert_eq!(answer, json!({"result": {}}));
    assert_eq!(close_of(&mut client), (3503, "force disconnect".to_owned()));
    // Nobody has that name any more: it is not another connection's.
    drop(client);
    let mut next = server.client("/room/a");
    let answer = server.call("/api/disconnect", json!({ "client": name }).to_string());
    assert_eq!(answer, json!({"result": {}}));
    assert_eq!(server.call("/api/rooms/a", "still here")["result"]["members"], 1);
    assert_eq!(next.frame().payload, b"still here");
}

fn all_of_a_room_or_of_a_host_are_closed(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut inside: Vec<Client> = (0..5).map(|_| server.client("/room/a")).collect();
    let mut outside = server.client("/room/b");
    let word = json!({"code": 4000, "reason": "the room closes"});
    let order = json!({"room": "a", "disconnect": word});
    assert_eq!(server.call("/api/disconnect", order.to_string())["result"]["disconnected"], 5);
    for client in &mut inside {
        assert_eq!(close_of(client), (4000, "the room closes".to_owned()));
    }
    let order = json!({"address": "127.0.0.1", "code": 1013, "reason": "all"});
    let answer = server.call("/api/disconnect", order.to_string());
    assert!(answer["result"]["disconnected"].as_u64() >= Some(1), "{answer}");
    assert_eq!(close_of(&mut outside), (1013, "all".to_owned()));
    for (order, code) in [
        (json!({}), 107),
        (json!({"client": "a"}), 107),
        (json!({"address": "a"}), 107),
        (json!({"client": "0-0-0", "code": 1005}), 107),
        (json!({"user": "a"}), 108),
    ] {
        let answer = server.call("/api/disconnect", order.to_string());
        assert_eq!(answer["error"]["code"], code, "{order}");
    }
}
