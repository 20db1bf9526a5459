//! Many commands in one request.

use serde_json::{Value, json};
use throng::config::Backend;

use super::Operated;

on_both!(
    each_command_of_a_batch_has_its_reply_in_its_place,
    thousands_of_messages_come_in_their_order,
    looks_at_all_connections_or_rooms_are_bounded_and_messages_are_not,
);

fn each_command_of_a_batch_has_its_reply_in_its_place(backend: Backend) {
    let server = Operated::start(backend, &[]);
    let mut member = server.client("/room/a");
    let commands = json!({"commands": [
        {"publish": {"room": "a", "data": "1"}},
        {"publish": {"room": "a", "data": "2"}},
        {"publish": {"channel": "a", "data": "no"}},
        {"broadcast": {"rooms": ["b", "a"], "data": "3"}},
        {"fly": {}},
        {"publish": {"room": "b", "data": "elsewhere"}},
        {"publish": {"room": "a", "b64data": "NA=="}},
        {"disconnect": {"user": "somebody"}},
    ]});
    let answer = server.call("/api/batch", commands.to_string());
    let error = |code, message| json!({"error": {"code": code, "message": message}});
    let ok = json!({"publish": {}});
    let responses = json!({"responses": [{"result": {}}, {"result": {}}]});
    let replies = [
        ok.clone(),
        ok.clone(),
        error(102, "unknown channel"),
        json!({ "broadcast": responses }),
        error(104, "method not found"),
        ok.clone(),
        ok,
        error(108, "not available"),
    ];
    assert_eq!(answer, json!({ "replies": replies }));
    let came: Vec<_> = (0..4).map(|_| member.frame().payload).collect();
    assert_eq!(came, [b"1", b"2", b"3", b"4"]);
}

fn thousands_of_messages_come_in_their_order(backend: Backend) {
    const ROUNDS: usize = 2;
    const EACH: usize = 10_000;
    let server = Operated::start(backend, &["--workers", "2", "--max-backlog", "64MiB"]);
    let mut members: Vec<_> = (0..2).map(|_| server.client("/room/a")).collect();
    for round in 0..ROUNDS {
        let publish = |at: usize| {
            let data = (round * EACH + at).to_string();
            json!({"publish": {"room": "a", "data": data}})
        };
        let commands: Vec<Value> = (0..EACH).map(publish).collect();
        let answer = server.call("/api/batch", json!({ "commands": commands }).to_string());
        let replies = answer["replies"].as_array().expect("there are replies");
        assert_eq!(replies.len(), EACH);
        assert!(replies.iter().all(|reply| *reply == json!({"publish": {}})), "{replies:?}");
    }
    for member in &mut members {
        for number in 0..ROUNDS * EACH {
            assert_eq!(member.frame().payload, number.to_string().into_bytes());
        }
    }
}

fn looks_at_all_connections_or_rooms_are_bounded_and_messages_are_not(backend: Backend) {
    const LOOKS_MAX: usize = 100;
    let server = Operated::start(backend, &["--workers", "2"]);
    let mut member = server.client("/room/a");
    let look = |at: usize| match at % 2 {
        0 => json!({"info": {}}),
        _ => json!({"disconnect": {"room": "nobody"}}),
    };
    let publish = |at: usize| json!({"publish": {"room": "a", "data": at.to_string()}});
    let commands = (0..LOOKS_MAX + 20).flat_map(|at| [look(at), publish(at)]);
    let commands = commands.collect::<Vec<Value>>();
    let answer = server.call("/api/batch", json!({ "commands": commands }).to_string());
    let replies = answer["replies"].as_array().expect("there are replies");
    assert_eq!(replies.len(), commands.len());
    for (at, pair) in replies.chunks(2).enumerate() {
        let refused = &pair[0]["error"]["code"];
        assert_eq!(*refused == 107, at >= LOOKS_MAX, "{at}: {}", pair[0]);
        assert_eq!(pair[1], json!({"publish": {}}));
        assert_eq!(member.frame().payload, at.to_string().into_bytes());
    }
}
