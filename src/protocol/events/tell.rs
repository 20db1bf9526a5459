//! What is told of a room, as JSON.

use serde::Serialize;

use super::Seen;

#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    room: &'a str,
    members: u32,
    last_message: Option<LastMessage>,
}

/// Of the last message that was published: how long it took until all had been sent it.
#[derive(Serialize)]
struct LastMessage {
    ms: f64,
}

/// The event for who watches.
pub(super) fn event(room: &str, seen: Seen) -> String {
    told(Some("room"), room, seen)
}

/// The answer for who asks.
pub(super) fn answer(room: &str, seen: Seen) -> String {
    told(None, room, seen) + "\n"
}

fn told(event: Option<&'static str>, room: &str, Seen { members, fanout }: Seen) -> String {
    let last_message = fanout.map(|micros| LastMessage { ms: f64::from(micros) / 1000.0 });
    let told = Told { event, room, members, last_message };
    serde_json::to_string(&told).expect("strings and finite numbers can be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_answers() {
        let seen = Seen { members: 12_431, fanout: Some(40_100) };
        assert_eq!(
            event("a\"b", seen),
            r#"{"event":"room","room":"a\"b","members":12431,"last_message":{"ms":40.1}}"#
        );
        let empty = "{\"room\":\"lobby\",\"members\":0,\"last_message\":null}\n";
        assert_eq!(answer("lobby", Seen::default()), empty);
    }
}
