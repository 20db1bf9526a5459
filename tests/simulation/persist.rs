//! What is written out of a connection is all that there is of it: whatever is left out is missed.

use std::time::Duration;

use testkit::client::{Shape, pong};
use throng::config::Config;
use throng::websocket::Scratch;
use throng::worker::{Image, LinkImage, PingImage, UntilPing};

use crate::ends::{SEEDS, STEP, Server, secs};
use crate::faults::Fault;
use crate::is_found;
use crate::world::{Rewrites, World};

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Queue,
    Stash,
    Request,
    Message,
    Topics,
    Kept,
    Wake,
    Deadline,
    Ping,
    UntilPing,
    Unfinished,
    Linger,
    Pause,
}

impl Part {
    pub(crate) fn take_out_of(self, image: &mut Image) {
        match (self, &mut image.link) {
            (Self::Queue, _) => image.queue.clear(),
            (Self::Pause, _) => {
                if let Some(limits) = &mut image.limits {
                    limits.paused = None;
                }
            }
            (Self::Stash, _) => image.stash.clear(),
            (Self::Request, LinkImage::Http(partial)) => *partial = None,
            (Self::Message, LinkImage::WebSocket(session)) => {
                session.release(&mut Scratch::default());
            }
            (Self::Linger, LinkImage::Lingering(_, until)) => *until = None,
            (Self::Request | Self::Message | Self::Linger, _) => {}
            // A pong that waits does so behind a topic.
            (Self::Topics, _) => (image.topics, image.pong) = (Vec::new(), None),
            (Self::Kept, _) => image.kept.clear(),
            (Self::Wake, _) => image.wake = None,
            (Self::Deadline, _) => image.deadline = None,
            (Self::Ping, _) => image.ping = PingImage::None,
            (Self::UntilPing, _) if image.until_ping.is_some() => {
                image.until_ping = Some(UntilPing::Unknown);
            }
            (Self::UntilPing, _) => {}
            (Self::Unfinished, _) => image.unfinished = None,
        }
    }
}

#[test]
fn bytes_that_are_to_leave_are_missed() {
    assert!(is_found(Fault::LostPart(Part::Queue), &["out of order", "heard up to"]));
}

#[test]
fn bytes_that_are_not_handled_are_missed() {
    assert!(is_found(Fault::LostPart(Part::Stash), &["ended for no reason", "heard up to"]));
}

#[test]
fn a_request_that_has_not_come_whole_is_missed() {
    assert!(is_found(Fault::LostPart(Part::Request), &["was refused", "never let in"]));
}

#[test]
fn a_message_that_has_not_come_whole_is_missed() {
    assert!(is_found(Fault::LostPart(Part::Message), &["ended for no reason", "heard up to"]));
}

#[test]
fn what_is_subscribed_to_is_missed() {
    assert!(is_found(Fault::LostPart(Part::Topics), &["heard up to"]));
}

#[test]
fn messages_that_have_waited_for_an_answer_are_missed() {
    assert!(is_found(Fault::LostPart(Part::Kept), &["a message out of order", "were not handled"]));
}

#[test]
fn the_moment_of_a_protocol_is_missed() {
    assert!(is_found(Fault::LostPart(Part::Wake), &["waits for ever"]));
}

#[test]
fn the_end_of_a_pause_is_missed() {
    let mut broken = (0..100).filter_map(|seed| {
        let mut world = World::paced(seed);
        world.rewrites = Rewrites::all_without(Part::Pause);
        world.run().err()
    });
    let words = ["is stuck", "misses a pong", "heard up to", "were not handled"];
    assert!(broken.any(|what| words.iter().any(|word| what.contains(word))));
}

/// Who is ended in time.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// It has connected and says nothing.
    Mute,
    /// It answers no ping.
    Silent,
    /// It answers pings, in the middle of a message.
    Unfinished,
    /// It has the last word and ends nothing, in a trickle of bytes.
    Lingering,
}

/// In half a minute of a message a pong never comes with its end.
const PING_INTERVAL: Duration = secs(7);
const PONG_TIMEOUT: Duration = secs(3);
/// Whoever stays as long stays for ever.
const LONG: Duration = secs(200);

/// How long somebody stays.
fn stays(seed: u64, who: Who, rewrites: Rewrites) -> Duration {
    let (ping_interval, pong_timeout) = (PING_INTERVAL, PONG_TIMEOUT);
    let config = Config { ping_interval, pong_timeout, ..Config::default() };
    let mut server = Server::new(seed, config);
    server.rewrites = rewrites;
    let client = match who {
        Who::Mute => server.net.connect(0),
        _ => server.open("/room/a"),
    };
    match who {
        Who::Mute | Who::Silent => {}
        Who::Unfinished => client.write(&Shape::new(1).unfinished().with(b"to be continued")),
        Who::Lingering => client.write(&[0xff; 20]),
    }
    let mut waited = Duration::ZERO;
    while waited < LONG && (waited.is_zero() || server.counts().connections() > 0) {
        server.pass(STEP);
        waited += STEP;
        if matches!(who, Who::Unfinished) && client.read() == b"\x89\0" {
            client.write(&pong(b""));
        }
        if matches!(who, Who::Lingering) {
            let _ = client.read();
            client.write(b"x");
        }
    }
    waited
}

const ALL: [Who; 4] = [Who::Mute, Who::Silent, Who::Unfinished, Who::Lingering];

#[test]
fn who_is_written_out_and_read_back_stays_as_long_as_others() {
    for (seed, who) in (0..SEEDS).flat_map(|seed| ALL.map(|who| (seed, who))) {
        let expected = stays(seed, who, Rewrites::default());
        assert!(expected < LONG, "seed={seed} {who:?}");
        for rewrites in [Rewrites::all(), Rewrites::some(seed)] {
            let stayed = stays(seed, who, rewrites);
            let differs = stayed.abs_diff(expected);
            assert!(differs <= STEP * 3, "seed={seed} {who:?}: {stayed:?} for {expected:?}");
        }
    }
}

#[test]
fn deadlines_and_pings_are_missed() {
    for (who, part) in [
        (Who::Mute, Part::Deadline),
        (Who::Silent, Part::Ping),
        (Who::Silent, Part::UntilPing),
        (Who::Unfinished, Part::Unfinished),
        (Who::Lingering, Part::Linger),
    ] {
        let (expected, stayed) =
            (stays(1, who, Rewrites::all()), stays(1, who, Rewrites::all_without(part)));
        assert!(stayed.abs_diff(expected) > STEP * 10, "{who:?} without {part:?}: {stayed:?}");
    }
}

/// One at a time, over hours: a ping is never later than it would be, however often.
#[test]
fn pings_keep_their_interval() {
    for rewrites in [Rewrites::all(), Rewrites::some(1)] {
        let config = Config { pong_timeout: Duration::ZERO, ..Config::default() };
        let interval = config.ping_interval;
        let mut server = Server::new(1, config);
        server.rewrites = rewrites;
        let clients: Vec<_> = (0..7).map(|_| server.open("/echo")).collect();
        let (mut last, mut now) = (vec![Duration::ZERO; clients.len()], Duration::ZERO);
        let mut pings = 0;
        while now < secs(600) {
            server.pass(STEP);
            now += STEP;
            for (client, last) in clients.iter().zip(&mut last) {
                if client.read() == b"\x89\0" {
                    client.write(&pong(b""));
                    let span = now - std::mem::replace(last, now);
                    let is_first = span == now;
                    assert!(is_first || span.abs_diff(interval) <= STEP * 3, "{span:?}");
                    pings += 1;
                }
                assert!(now - *last <= interval + STEP * 3, "a ping is missing");
            }
        }
        assert!(pings >= 7 * 22, "{pings}");
    }
}
