//! What is in the rooms: which paths lead to them, and what may be done there.

use throng::config::{Policy, RoomRule};

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
    /// What a value looks like.
    pub(crate) kind: Kind,
    /// Its default, or nothing where no value says it.
    pub(crate) default: Default,
    /// What it means.
    pub(crate) help: &'static str,
    /// Puts what a text says into a rule.
    pub(crate) set: fn(&mut RoomRule, &str) -> Result<(), String>,
    /// What a rule says; nothing if no value says it.
    pub(crate) get: fn(&RoomRule) -> Option<String>,
}

/// A field that is true or false.
macro_rules! switch {
    ($field:ident, $help:literal) => {
        RuleField {
            key: stringify!($field),
            kind: Kind::Switch,
            default: Default::Value("true"),
            help: $help,
            set: |rule, text| {
                rule.$field = parse::switch(text)?;
                Ok(())
            },
            get: |rule| Some(rule.$field.to_string()),
        }
    };
}

/// All of them.
pub(crate) static RULE_FIELDS: &[RuleField] = &[
    switch!(enabled, "Whether there are such rooms: an upgrade gets 403 otherwise"),
    switch!(
        client_publish,
        "Whether clients may publish: a message of one that may not closes it with 1008"
    ),
    switch!(echo_to_sender, "Whether who publishes gets its own message too"),
    RuleField {
        key: "policy",
        kind: Kind::Word(Policy::WORDS),
        default: Default::Value("disconnect"),
        help: "What becomes of a member that does not keep up: `disconnect` closes it with 1008, \
               `drop_oldest` drops what has waited longest, `latest` keeps the newest message only",
        set: |rule, text| {
            rule.delivery.policy = text.parse()?;
            Ok(())
        },
        get: |rule| Some(rule.delivery.policy.to_string()),
    },
    RuleField {
        key: "backlog",
        kind: Kind::Size,
        default: Default::Words { says: "that of `max_backlog`", example: "256KiB" },
        help: "Memory that may wait for a member behind the message being sent",
        set: |rule, text| {
            rule.delivery.backlog = Some(parse::message_size(text)?);
            Ok(())
        },
        get: |rule| rule.delivery.backlog.map(|bytes| bytes.to_string()),
    },
    RuleField {
        key: "batch_delay",
        kind: Kind::Duration,
        default: Default::Value("0"),
        help: "Time for which messages gather before they leave in one send for each member, 1s \
               at most",
        set: |rule, text| {
            rule.delivery.batch_delay = parse::batch_delay(text)?;
            Ok(())
        },
        get: |rule| Some(format!("{}ms", rule.delivery.batch_delay.as_millis())),
    },
];
