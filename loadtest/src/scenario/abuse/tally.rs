//! What has become of the connections of one kind.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::peer::End;

/// See the module. Statuses and codes are 16 bits, so the maps are bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) begun: u64,
    pub(super) sent_bytes: u64,
    /// Answered with a response that is no upgrade, by its status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Closed behind an upgrade, by the code.
    pub(super) codes: BTreeMap<u16, u64>,
    /// Ended by the server, whatever it said before.
    pub(super) by_server: u64,
    pub(super) by_us: u64,
    pub(super) not_connected: u64,
    pub(super) at_the_end: u64,
}

impl Tally {
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Nothing | Answer::Upgraded => {}
            Answer::Status(status) => *self.statuses.entry(status).or_default() += 1,
            Answer::Closed(code) => *self.codes.entry(code).or_default() += 1,
        }
    }

    pub(super) fn ended(&mut self, end: End) {
        let count = match end {
            End::NotConnected => &mut self.not_connected,
            End::ByServer => &mut self.by_server,
            End::ByUs => &mut self.by_us,
            End::RunOver => &mut self.at_the_end,
        };
        *count += 1;
    }

    /// Ended or refused by the server in any way.
    pub(super) fn refused(&self) -> u64 {
        let told = self.statuses.values().chain(self.codes.values()).sum::<u64>();
        self.by_server.max(told)
    }
}
