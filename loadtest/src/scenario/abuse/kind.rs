//! The kinds of abuse, and under which reasons of Throng's metrics each is counted.

use super::metrics::Reason;

/// One kind of abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SlowHandshakes,
    HalfFrames,
    Oversized,
    Fragments,
    BadText,
    Bombs,
    Pings,
    Requests,
    ConnectsOfOne,
    ConnectsOfMany,
    RandomBytes,
    Resets,
    ProxyHeaders,
}

/// What a kind is called, and what is to be expected of it.
pub(super) struct Facts {
    /// In ids of figures.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What the server counts it under, if it refuses it.
    pub(super) reasons: &'static [Reason],
    pub(super) expected: Expected,
}

/// What a server has to do with a connection of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It breaks a rule of the protocol with its first bytes: within the run some are ended.
    Ended,
    /// Limits and times of the server decide.
    Either,
}

impl Kind {
    pub(super) const ALL: [Self; 13] = [
        Self::SlowHandshakes,
        Self::HalfFrames,
        Self::Oversized,
        Self::Fragments,
        Self::BadText,
        Self::Bombs,
        Self::Pings,
        Self::Requests,
        Self::ConnectsOfOne,
        Self::ConnectsOfMany,
        Self::RandomBytes,
        Self::Resets,
        Self::ProxyHeaders,
    ];

    /// Kinds that send as fast as they may; they share `--flood` evenly.
    pub(super) const FLOODS: [Self; 3] = [Self::Fragments, Self::Pings, Self::Requests];

    pub(super) fn facts(self) -> Facts {
        use Expected::{Either, Ended};
        use Reason::{Closed, ReadsPaused, Refused};
        let (id, title, reasons, expected): (_, _, &[Reason], _) = match self {
            Self::SlowHandshakes => {
                ("slow_handshakes", "Handshakes of a byte a second", &[], Either)
            }
            Self::HalfFrames => (
                "half_frames",
                "Frames that are never finished",
                &[Closed("unfinished_message")],
                Either,
            ),
            Self::Oversized => (
                "oversized",
                "Frames of a tebibyte, as their heads say",
                &[Closed("message_too_big")],
                Ended,
            ),
            Self::Fragments => (
                "fragments",
                "Messages in fragments of a byte",
                &[Closed("message_too_big"), Closed("rate_limit"), ReadsPaused],
                Either,
            ),
            Self::BadText => ("bad_text", "Texts that are no UTF-8", &[Closed("violation")], Ended),
            Self::Bombs => (
                "bombs",
                "Small frames that inflate to 64 MiB",
                &[Closed("message_too_big"), Closed("violation")],
                Ended,
            ),
            Self::Pings => {
                ("pings", "Floods of pings", &[Closed("rate_limit"), ReadsPaused], Either)
            }
            Self::Requests => (
                "requests",
                "Floods of requests on connections that stay open",
                &[Refused("not_found"), ReadsPaused],
                Either,
            ),
            Self::ConnectsOfOne => (
                "connects_of_one",
                "Connects from one address",
                &[Refused("ip_connections"), Refused("ip_connect_rate")],
                Either,
            ),
            Self::ConnectsOfMany => (
                "connects_of_many",
                "Connects from many addresses",
                &[Refused("connection_limit"), Refused("memory")],
                Either,
            ),
            Self::RandomBytes => ("random_bytes", "Random bytes", &[Refused("bad_request")], Ended),
            Self::Resets => (
                "resets",
                "Resets in the middle of the broadcast",
                &[Closed("disconnected")],
                Either,
            ),
            Self::ProxyHeaders => (
                "proxy_headers",
                "Headers of the PROXY protocol, of strangers",
                &[Refused("proxy_header"), Refused("bad_request")],
                Either,
            ),
        };
        Facts { id, title, reasons, expected }
    }
}
