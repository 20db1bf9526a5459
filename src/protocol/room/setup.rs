//! What rooms have in common, as the operator wants it.

use std::borrow::Cow;

use super::Rights;
use crate::config::{Config, RoomRules, Routes};
use crate::http::{Request, Response, Status};
use crate::limits::ROOM_NAME_BYTES_MAX;
use crate::stats::Refusal;

/// Where rooms are, and what may be done in them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Paths beside `/room/{name}`.
    pub routes: Routes,
    /// What may be done.
    pub rules: RoomRules,
    /// Whether it is told how many are in a room.
    pub room_info: bool,
    /// Another number than the last one's, where rules may have changed while somebody is in a
    /// room.
    pub version: u8,
}

/// As the default options say.
impl Default for Setup {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Setup {
    /// As the options say.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let Config { routes, rooms, room_info, .. } = config;
        Self { routes: routes.clone(), rules: rooms.clone(), room_info: *room_info, version: 0 }
    }

    /// The room that a request is for.
    #[must_use]
    pub fn room<'a>(&self, request: &Request<'a>) -> Option<Cow<'a, str>> {
        let routed = || self.routes.room(request.path).map(|room| Cow::Owned(room.to_owned()));
        super::name(request).or_else(routed)
    }

    /// Paths that lead to rooms.
    pub(in crate::protocol) fn paths(&self) -> Vec<Cow<'_, str>> {
        let routed = self.routes.iter().map(|(path, _)| Cow::Borrowed(path));
        routed.chain([Cow::Borrowed(super::PATH)]).collect()
    }

    /// What somebody may do who is in a room.
    ///
    /// # Errors
    ///
    /// The response that says that there is no such room.
    pub(in crate::protocol) fn rights(&self, room: &str) -> Result<Rights, Response> {
        match self.rules.of(room) {
            None => Ok(Rights::Speaks),
            Some(rule) if !rule.enabled => Err(closed()),
            Some(rule) if !rule.client_publish => Ok(Rights::Listens),
            Some(rule) if !rule.echo_to_sender => Ok(Rights::SpeaksToOthers),
            Some(_) => Ok(Rights::Speaks),
        }
    }
}

/// The response to who asks for a room that the rules close.
fn closed() -> Response {
    let text = "the server's rules for rooms close this one (enabled = false)\n";
    Response::text(Status::Forbidden, text).refusing(Refusal::RoomDisabled)
}

/// The room that a request names behind a prefix: one path segment, percent-decoded, without
/// control characters, which topics of ours begin with.
pub(in crate::protocol) fn named<'a>(request: &Request<'a>, prefix: &str) -> Option<Cow<'a, str>> {
    let name = request.segment_behind(prefix, ROOM_NAME_BYTES_MAX)?;
    (!name.contains(|c: char| c.is_ascii_control())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RoomRule;

    fn setup(rules: Vec<RoomRule>) -> Setup {
        let rules = RoomRules::new(rules).expect("they are good");
        Setup { rules, ..Setup::default() }
    }

    fn rule(matches: &str) -> RoomRule {
        RoomRule { matches: matches.to_owned(), ..RoomRule::default() }
    }

    #[test]
    fn a_rule_says_what_a_member_may_do() {
        let setup = setup(vec![
            RoomRule { enabled: false, ..rule("closed") },
            RoomRule { client_publish: false, echo_to_sender: false, ..rule("news-*") },
            RoomRule { echo_to_sender: false, ..rule("game") },
            rule("g*"),
        ]);
        let member = |room| setup.rights(room).map_err(|response| response.refusal);
        assert_eq!(member("closed"), Err(Some(Refusal::RoomDisabled)));
        assert_eq!(member("news-de"), Ok(Rights::Listens));
        assert_eq!(member("game"), Ok(Rights::SpeaksToOthers));
        assert_eq!(member("go"), Ok(Rights::Speaks));
        assert_eq!(member("lobby"), Ok(Rights::Speaks));
    }

    #[test]
    fn paths_have_the_routes_too() {
        assert_eq!(Setup::default().paths(), ["/", "/room/NAME"]);
    }
}
