//! `broadcast`: one message to all, and each subscriber must get each exactly once, in order.

mod http;
pub(crate) mod ledger;
pub(crate) mod publisher;
pub(crate) mod room;
pub(crate) mod subscriber;

use std::time::Duration;

use clap::Args;

use crate::options::{Common, parse_payload};
use crate::report::against::{Against, Work};
use crate::report::figures::{self, Fates};
use crate::run::Run;
use crate::target::Url;
use crate::template::Template;
use crate::wire;
use http::HttpOutlet;
use loadtest::units::{parse_count, parse_header, parse_nonzero_duration, parse_rate};
use publisher::Shape;
use room::{Publishing, Room};

/// Back to back by default: the next message leaves when the last subscriber has the one before.
/// With --rate it leaves by the clock. Throng's /room/loadtest is the default place.
#[derive(Clone, Debug, Args)]
pub(crate) struct BroadcastArgs {
    /// Messages per second, by the clock (open loop)
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    rate: Option<f64>,

    /// Messages in one write; the next waits until all have all
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    burst: u64,

    /// Clients that publish, in turn
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    publishers: u16,

    /// Bytes of a payload; 20 at least
    #[arg(long, value_name = "SIZE", value_parser = parse_payload, default_value = "100")]
    size: usize,

    /// How long to publish
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10s")]
    duration: Duration,

    // Why: `loadtest::floor::WARM_UP_WRITES`.
    /// Writes before it counts; the first 16 are dearer
    #[arg(long, value_name = "N", default_value = "0")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1000))]
    warm_up_writes: u64,

    /// How many messages to publish, at most
    #[arg(long, value_name = "N", value_parser = parse_count)]
    messages: Option<u64>,

    /// What a publisher sends: a text with {payload} in it
    #[arg(long, value_name = "TEMPLATE")]
    publish: Option<String>,

    /// Where to POST, if clients do not publish; the body is --publish
    #[arg(long, value_name = "URL", conflicts_with_all = ["publishers", "others_only"])]
    publish_url: Option<String>,

    /// A field of that request: 'Name: value'; repeatable
    #[arg(long, value_name = "FIELD", value_parser = parse_header, requires = "publish_url")]
    publish_header: Vec<String>,

    /// The server sends to all but the publisher itself
    #[arg(long)]
    others_only: bool,

    /// Send binary messages, not text
    #[arg(long)]
    binary: bool,

    #[command(flatten)]
    against: Against,

    #[command(flatten)]
    common: Common,
}

impl BroadcastArgs {
    fn shape(&self) -> Result<Shape, String> {
        Ok(Shape {
            burst: self.burst,
            size: self.size,
            opcode: if self.binary { wire::BINARY } else { wire::TEXT },
            template: Template::with_payload(self.publish.as_deref())?,
            http: self.http()?,
            timeout_ns: crate::clock::nanoseconds(self.common.loader.timeout),
        })
    }
}

impl BroadcastArgs {
    fn http(&self) -> Result<Option<HttpOutlet>, String> {
        let Some(url) = &self.publish_url else { return Ok(None) };
        let url = Url::parse(url, "http")?;
        HttpOutlet::start(&url, &self.publish_header, self.common.loader.timeout).map(Some)
    }
}

/// Runs the scenario; gives whether all has held.
pub(crate) fn run(args: &BroadcastArgs) -> Result<bool, String> {
    let shape = args.shape()?;
    let mut run = Run::start(&args.common, "broadcast", "/room/loadtest")?;
    let (bytes, burst, warm_up_writes) = (shape.size, args.burst, args.warm_up_writes);
    let work = Work::Broadcast { bytes, burst, warm_up_writes };
    let yardstick = args.against.yardstick(work, &args.common, &run.report.host)?;
    let count = args.common.loader.connections;
    let none = run.memory();
    let publishers = usize::from(args.publishers);
    let mut room = Room::new(&run, count, publishers, &shape, args.others_only)?;
    let memory = room.fill(&mut run, count, &none)?;
    room.warm_up(&mut run, args.warm_up_writes)?;
    let publishing = Publishing {
        messages: args.messages.unwrap_or(u64::MAX),
        rate: args.rate.filter(|rate| *rate > 0.0),
        time: args.duration,
    };
    let published = room.publish(&mut run, 0, publishing)?;
    let open = room.crew.live().open;
    run.calibrate(count);
    let (tally, outcome) = room.finish()?;
    let fates = Fates { asked: count, open_at_end: open, ..Fates::default() };
    figures::connections(&mut run.report, &tally, fates, memory.opening_s);
    memory.report(&mut run);
    if let Some((count, first)) = shape.http.as_ref().and_then(HttpOutlet::failures) {
        run.report.problem(format!("{count} posts failed, the first one: {first}"));
    }
    run.report.parameter("publishers", f64::from(args.publishers));
    let optional =
        [("warm_up_writes", args.warm_up_writes as f64), ("binary", f64::from(args.binary))];
    run.report.parameters_beyond_default(optional);
    published.report(&mut run, &outcome, &shape, args.rate);
    if let Some(yardstick) = yardstick {
        yardstick.report(&mut run.report, &published.spent, published.delivered);
    }
    run.finish()
}
