//! Closing connections: one, all of a room, all of a host.

use futures_util::future::join_all;
use serde::Serialize;
use throng::id::{ConnId, SubscriberId, WorkerId};
use throng::wire::CloseCode;
use throng::worker::{Disconnect as Order, Inquiry, Report, Whom};

use super::command::{Disconnect, Word};
use super::fault::Fault;
use super::name::checked;
use crate::ask::ask;
use crate::state::Server;

/// What Centrifugo closes with where nobody says what: clients do not come back.
const CODE: u16 = 3503;
const REASON: &str = "force disconnect";

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Disconnected {
    /// How many are being closed, where it may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnected: Option<usize>,
}

/// Closes whom a command names, by one of its ways.
pub(super) async fn disconnect(
    server: &Server,
    wish: Disconnect<'_>,
) -> Result<Disconnected, Fault> {
    let (code, reason) = word(&wish)?;
    let workers = server.monitor.facts().workers;
    let (whom, asked) = match (&wish.client, &wish.room, &wish.address, &wish.user) {
        (Some(client), None, None, _) => {
            let SubscriberId { worker, conn } = parse(&client.0).ok_or(Fault::BAD_REQUEST)?;
            if worker.index() >= workers {
                return Ok(Disconnected { disconnected: None });
            }
            (Whom::One(conn), worker.index()..worker.index() + 1)
        }
        (None, Some(room), None, _) => (Whom::Topic(checked(&room.0)?.to_string()), 0..workers),
        (None, None, Some(address), _) => {
            let host = address.0.parse().map_err(|_| Fault::BAD_REQUEST)?;
            (Whom::Host(host), 0..workers)
        }
        // Nobody has told us who they are.
        (None, None, None, Some(_)) => return Err(Fault::NOT_AVAILABLE),
        _ => return Err(Fault::BAD_REQUEST),
    };
    let is_one = matches!(whom, Whom::One(_));
    // All at once: those that do not answer are waited for together.
    let reports = join_all(asked.map(|worker| {
        let order = Order { whom: whom.clone(), code, reason: reason.to_owned() };
        ask(&server.monitor, worker, Inquiry::Disconnect(order))
    }))
    .await;
    let mut closed = 0;
    for report in reports {
        if let Report::Disconnected(count) = report? {
            closed += count;
        }
    }
    Ok(Disconnected { disconnected: (!is_one).then_some(closed) })
}

/// Code and reason, from `disconnect` or from the command itself.
fn word<'w>(wish: &'w Disconnect<'_>) -> Result<(CloseCode, &'w str), Fault> {
    let (code, reason) = match &wish.disconnect {
        Some(Word { code, reason }) => {
            (code.or(wish.code), reason.as_ref().or(wish.reason.as_ref()))
        }
        None => (wish.code, wish.reason.as_ref()),
    };
    let code = CloseCode::from_wire(code.unwrap_or(CODE)).ok_or(Fault::BAD_REQUEST)?;
    Ok((code, reason.map_or(REASON, |reason| &reason.0)))
}

/// The name of a connection: `worker-slot-generation`.
pub(super) fn name(id: SubscriberId) -> String {
    let SubscriberId { worker, conn } = id;
    format!("{}-{}-{}", worker.0, conn.index, conn.generation)
}

fn parse(name: &str) -> Option<SubscriberId> {
    let mut parts = name.split('-');
    let worker = WorkerId(parts.next()?.parse().ok()?);
    let index = parts.next()?.parse().ok()?;
    let generation = parts.next()?.parse().ok()?;
    let conn = ConnId { index, generation };
    parts.next().is_none().then_some(SubscriberId { worker, conn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_connections_round_trip() {
        let conn = ConnId { index: 12, generation: 345 };
        let id = SubscriberId { worker: WorkerId(0), conn };
        assert_eq!(name(id), "0-12-345");
        assert_eq!(parse("0-12-345"), Some(id));
        for bad in ["", "0-12", "0-12-345-6", "a-1-2", "70000-1-2", "-1-2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_word_stands_in_either_place() {
        let of = |json: &'static str| {
            let wish: Disconnect<'_> = serde_json::from_str(json).expect("it is JSON");
            word(&wish).map(|(code, reason)| (code.get(), reason.to_owned()))
        };
        assert_eq!(of("{}"), Ok((3503, "force disconnect".into())));
        assert_eq!(of(r#"{"code":4001,"reason":"a"}"#), Ok((4001, "a".into())));
        let both = r#"{"code":4001,"disconnect":{"code":4002,"reason":"b"}}"#;
        assert_eq!(of(both), Ok((4002, "b".into())));
        assert_eq!(of(r#"{"code":1006}"#), Err(Fault::BAD_REQUEST));
    }
}
