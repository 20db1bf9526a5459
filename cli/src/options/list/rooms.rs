//! What is in the rooms: which paths lead to them, and what may be done there.

use throng::config::RoomRule;

use crate::options::definition::{Default, Group, Kind, OptionDef, Reload};
use crate::options::parse;

pub(super) static OPTIONS: &[OptionDef] = &[
    OptionDef {
        key: "room_info",
        flag: None,
        group: Group::Rooms,
        kind: Kind::Switch,
        default: Default::Value("true"),
        help: "Whether GET /rooms/NAME tells how many are in a room",
        doc: "It also tells how fast the last message has reached them, and it tells everybody who \
              may connect.",
        set: set!(config.room_info, parse::switch),
        reload: Reload::Live,
    },
    OptionDef {
        key: "routes",
        flag: None,
        group: Group::Rooms,
        kind: Kind::Routes,
        default: Default::Words { says: "`\"/\" = \"lobby\"`", example: "\"/\" = \"lobby\"" },
        help: "Paths of upgrades with the rooms that they lead to, beside /room/NAME",
        doc: "The routes that are given are all there are. Paths are written as they stand in a \
              request, still percent-encoded; `/echo` and what begins with `/room/` have a meaning \
              of their own. There may be 256.",
        set: |_, _| Ok(()),
        reload: Reload::Live,
    },
    OptionDef {
        key: "rooms",
        flag: None,
        group: Group::Rooms,
        kind: Kind::Rooms,
        default: Default::Words { says: "everything is permitted in all rooms", example: "" },
        help: "What may be done in the rooms whose names match; the first rule that does holds",
        doc: "There may be 256 rules.",
        set: |_, _| Ok(()),
        reload: Reload::Live,
    },
];

/// What a rule of rooms can say beside `match`.
#[derive(Debug)]
pub(crate) struct RuleField {
    /// Its name.
    pub(crate) key: &'static str,
    /// What it means.
    pub(crate) help: &'static str,
    /// Where it belongs.
    pub(crate) field: fn(&mut RoomRule) -> &mut bool,
}

/// All of them.
pub(crate) static RULE_FIELDS: &[RuleField] = &[
    RuleField {
        key: "enabled",
        help: "Whether there are such rooms: an upgrade gets 403 otherwise",
        field: |rule| &mut rule.enabled,
    },
    RuleField {
        key: "client_publish",
        help: "Whether clients may publish: a message of one that may not closes it with 1008",
        field: |rule| &mut rule.client_publish,
    },
    RuleField {
        key: "echo_to_sender",
        help: "Whether who publishes gets its own message too",
        field: |rule| &mut rule.echo_to_sender,
    },
];
