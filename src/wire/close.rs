//! Close codes and the faults of a peer that they answer (RFC 6455, 7.4).

use std::fmt;

/// The code in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server stops.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A message whose bytes are not what its type says.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// See RFC 6455, 7.4.1.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of ours.
    pub const POLICY: Self = Self(1008);
    /// A message over the size limit.
    pub const TOO_BIG: Self = Self(1009);
    /// The server starts anew (IANA's registry of close codes).
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is short of something; trying again later may help.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// A code as it may stand in a frame, or `None`: 1004 to 1006 and 1015 never go over the wire,
    /// 1016 to 2999 are not assigned, 5000 and more do not exist.
    #[must_use]
    pub fn from_wire(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

/// What a peer did that ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit without an extension that gives it a meaning.
    ReservedBit,
    /// An opcode that RFC 6455 reserves.
    ReservedOpcode,
    /// A frame from a client that is not masked (RFC 6455, 5.1).
    Unmasked,
    /// A control frame in fragments or above 125 bytes (RFC 6455, 5.5).
    BadControlFrame,
    /// A 64-bit length with its highest bit set (RFC 6455, 5.2).
    BadLength,
    /// A continuation without a message.
    LostContinuation,
    /// A new message before the end of the last.
    UnfinishedMessage,
    /// A close frame with one byte or with a code that does not exist.
    BadClose,
    /// Text that is not UTF-8.
    BadUtf8,
    /// Compressed bytes that do not inflate.
    BadDeflate,
    /// A message over the size limit, as sent or inflated.
    TooBig,
}

impl Violation {
    /// The close code that tells the peer.
    #[must_use]
    pub fn code(self) -> CloseCode {
        match self {
            Self::BadUtf8 | Self::BadDeflate => CloseCode::INVALID_PAYLOAD,
            Self::TooBig => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The reason that goes with the code, below 124 bytes.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "reserved bit set",
            Self::ReservedOpcode => "reserved opcode",
            Self::Unmasked => "client frames must be masked",
            Self::BadControlFrame => "control frame fragmented or too long",
            Self::BadLength => "frame length above 2^63",
            Self::LostContinuation => "continuation without a message",
            Self::UnfinishedMessage => "message inside a message",
            Self::BadClose => "bad close frame",
            Self::BadUtf8 => "text is not UTF-8",
            Self::BadDeflate => "compressed data is damaged",
            Self::TooBig => "message too big",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_stand_in_a_frame() {
        for good in [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert_eq!(CloseCode::from_wire(good).map(CloseCode::get), Some(good));
        }
        for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535] {
            assert_eq!(CloseCode::from_wire(bad), None, "{bad}");
        }
    }
}
