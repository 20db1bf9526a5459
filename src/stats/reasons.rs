//! Why somebody was refused, and why connections end.

use std::marker::PhantomData;

use super::Count;

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident: $($(#[$each:meta])* $variant:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$each])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it, in metrics and in the log.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

reasons! {
    /// Why a connection or a request was refused.
    Refusal:
    /// There is no room for more connections: 503.
    ConnectionLimit = "connection_limit",
    /// The process is over its budget of memory: 503.
    Memory = "memory",
    /// The server stops: 503.
    Draining = "draining",
    /// A page of a host that is not allowed: 403.
    Origin = "origin",
    /// A request for a host that is not served: 421.
    Host = "host",
    /// An upgrade or a request at a path where nothing is: 404.
    NotFound = "not_found",
    /// A room that the rules close: 403.
    RoomDisabled = "room_disabled",
    /// A WebSocket path, and no good opening handshake: 400 or 426.
    Handshake = "handshake",
    /// Bytes that are no request, or one that is not taken: 4xx, 5xx.
    BadRequest = "bad_request",
    /// One address has as many connections as it may: 429.
    IpConnections = "ip_connections",
    /// Connections of one address come faster than they may: 429.
    IpConnectRate = "ip_connect_rate",
    /// More requests, or more bytes of them, than a connection may send: 429.
    RateLimit = "rate_limit",
    /// There are as many rooms as there may be: 503.
    RoomLimit = "room_limit",
    /// A header of the PROXY protocol that is bad, missing, or not expected: 400.
    ProxyHeader = "proxy_header",
}

reasons! {
    /// Why a WebSocket connection has ended.
    Ending:
    /// The client has closed it.
    Client = "client",
    /// The client has gone without a close frame.
    Disconnected = "disconnected",
    /// It broke the protocol.
    Violation = "violation",
    /// A message over the limit.
    MessageTooBig = "message_too_big",
    /// More than `--max-backlog` waited for it.
    SlowConsumer = "slow_consumer",
    /// It took nothing for `--send-timeout`.
    SendTimeout = "send_timeout",
    /// Nothing came within `--pong-timeout` of a ping.
    PongTimeout = "pong_timeout",
    /// Nothing more of a message came for long.
    Unfinished = "unfinished_message",
    /// The process was over its budget of memory.
    Memory = "memory",
    /// The server stops.
    Shutdown = "shutdown",
    /// The operator has closed it.
    Operator = "operator",
    /// What it speaks has closed it.
    Protocol = "protocol",
    /// It sent more than `limits` allow.
    RateLimit = "rate_limit",
    /// It was as old as it may become.
    MaxAge = "max_age",
}

/// A count for each reason of a kind.
#[derive(Debug)]
pub struct ByReason<R, const N: usize>([Count; N], PhantomData<R>);

impl<R, const N: usize> Default for ByReason<R, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()), PhantomData)
    }
}

/// Counts of refusals.
pub type Refusals = ByReason<Refusal, { Refusal::ALL.len() }>;

/// Counts of ends.
pub type Endings = ByReason<Ending, { Ending::ALL.len() }>;

impl<R, const N: usize> ByReason<R, N> {
    pub(super) fn at(&self, reason: usize) -> &Count {
        &self.0[reason]
    }
}

impl Refusals {
    /// Of one reason.
    #[must_use]
    pub fn of(&self, reason: Refusal) -> &Count {
        self.at(reason as usize)
    }
}

impl Endings {
    /// Of one reason.
    #[must_use]
    pub fn of(&self, reason: Ending) -> &Count {
        self.at(reason as usize)
    }
}

/// Counts of the codes of close frames, the first of each connection, from whichever side.
#[derive(Debug, Default)]
pub struct CloseCodes([Count; NAMES.len()]);

/// Codes that have a count of their own, and what the others have in common.
const NAMES: [&str; 14] = [
    "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012",
    "1013", "other",
];

impl CloseCodes {
    /// Counts a code; 1005 is a close frame without one, 1006 an end without a close frame.
    pub fn note(&self, code: u16) {
        let at = match code {
            1000..=1003 => code - 1000,
            1005..=1013 => code - 1001,
            3000..=4999 | 1014.. | 1004 | 0..1000 => NAMES.len() as u16 - 1,
        };
        self.0[usize::from(at)].add(1);
    }

    /// Each code with its count; `other` are those without one of their own.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0.iter().map(Count::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_counts_under_its_name() {
        let codes = CloseCodes::default();
        for code in [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1013] {
            codes.note(code);
            let name = code.to_string();
            assert!(codes.iter().any(|(other, count)| other == name && count == 1), "{name}");
        }
        [0, 999, 1004, 1014, 3000, 4999, 5000].into_iter().for_each(|code| codes.note(code));
        assert_eq!(codes.iter().last(), Some(("other", 7)));
    }

    #[test]
    fn reasons_have_counts_of_their_own() {
        let endings = Endings::default();
        endings.of(Ending::Protocol).add(1);
        let counts = Ending::ALL.iter().map(|reason| endings.of(*reason).get());
        assert_eq!(counts.sum::<u64>(), 1);
        assert_eq!(Refusal::ConnectionLimit.name(), "connection_limit");
    }
}
