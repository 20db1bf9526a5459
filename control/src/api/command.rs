//! Commands, as they stand in a request. What they hold is borrowed from it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::data::{self, Message, Text};
use super::fault::Fault;
use super::name::checked;

/// `{"publish":{..}}` and the like.
pub(super) enum Command<'a> {
    Publish(Publish<'a>),
    Broadcast(Box<Broadcast<'a>>),
    /// Boxed, as most commands are small.
    Disconnect(Box<Disconnect<'a>>),
    Info,
    /// A method that there is not.
    Unknown,
}

/// A message to a room.
#[derive(serde::Deserialize)]
pub(super) struct Publish<'a> {
    #[serde(borrow)]
    room: Option<Text<'a>>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    b64data: Option<Text<'a>>,
}

/// A message to several.
#[derive(serde::Deserialize)]
pub(super) struct Broadcast<'a> {
    #[serde(borrow)]
    rooms: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    b64data: Option<Text<'a>>,
}

/// Whom to close, and with what.
#[derive(serde::Deserialize)]
pub(super) struct Disconnect<'a> {
    #[serde(borrow)]
    pub(super) client: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) room: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) address: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) disconnect: Option<Word<'a>>,
    pub(super) code: Option<u16>,
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) user: Option<Text<'a>>,
}

/// A code and a reason.
#[derive(serde::Deserialize)]
pub(super) struct Word<'a> {
    pub(super) code: Option<u16>,
    #[serde(borrow)]
    pub(super) reason: Option<Text<'a>>,
}

impl<'a> Publish<'a> {
    /// The room and the message.
    pub(super) fn parts(self) -> Result<(Cow<'a, str>, Message<'a>), Fault> {
        let Self { room, channel, data, b64data } = self;
        let room = match (room, channel) {
            (Some(Text(room)), _) => checked(room)?,
            (None, Some(_)) => return Err(Fault::UNKNOWN_CHANNEL),
            (None, None) => return Err(Fault::BAD_REQUEST),
        };
        Ok((room, data::message(data, b64data.as_ref())?))
    }
}

impl<'a> Broadcast<'a> {
    /// The rooms and the message.
    pub(super) fn parts(self) -> Result<(Vec<Cow<'a, str>>, Message<'a>), Fault> {
        let Self { rooms, channels, data, b64data } = self;
        let rooms = match (rooms, channels) {
            (Some(rooms), _) if !rooms.is_empty() => rooms,
            (None, Some(_)) => return Err(Fault::UNKNOWN_CHANNEL),
            _ => return Err(Fault::BAD_REQUEST),
        };
        let rooms = rooms.into_iter().map(|Text(room)| room).collect();
        Ok((rooms, data::message(data, b64data.as_ref())?))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Command<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Single)
    }
}

/// A map with one entry, whose key is the method.
struct Single;

impl<'de> Visitor<'de> for Single {
    type Value = Command<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command like {\"publish\":{\"room\":\"lobby\",\"data\":\"hello\"}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Command<'de>, A::Error> {
        let Some(Text(method)) = map.next_key()? else { return Ok(Command::Unknown) };
        let command = match &*method {
            "publish" => Command::Publish(map.next_value()?),
            "broadcast" => Command::Broadcast(map.next_value()?),
            "disconnect" => Command::Disconnect(map.next_value()?),
            "info" => map.next_value::<IgnoredAny>().map(|_| Command::Info)?,
            _ => map.next_value::<IgnoredAny>().map(|_| Command::Unknown)?,
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(command),
            Some(_) => Err(A::Error::custom("a command has one method")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(json: &str) -> Result<Command<'_>, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_is_not_escaped_is_borrowed() {
        let json = r#"{"publish":{"room":"lobby","data":"hello","tags":{"a":1}}}"#;
        let Ok(Command::Publish(publish)) = command(json) else { panic!("it is a publish") };
        let (room, (_, data)) = publish.parts().expect("it is whole");
        assert!(matches!(room, Cow::Borrowed("lobby")));
        assert!(matches!(data, Cow::Borrowed(b"hello")));
    }

    #[test]
    fn a_command_has_one_method() {
        assert!(matches!(command(r#"{"fly":{"a":[]}}"#), Ok(Command::Unknown)));
        assert!(matches!(command(r#"{"info":{}}"#), Ok(Command::Info)));
        assert!(matches!(command("{}"), Ok(Command::Unknown)));
        assert!(command(r#"{"info":{},"publish":{}}"#).is_err());
        assert!(command(r#"{"publish":{"room":5}}"#).is_err());
    }

    #[test]
    fn what_lacks_is_told() {
        let of = |json| serde_json::from_str::<Publish<'_>>(json).expect("it is JSON").parts();
        let fault = |json| of(json).err();
        assert_eq!(fault(r#"{"channel":"a","data":1}"#), Some(Fault::UNKNOWN_CHANNEL));
        assert_eq!(fault(r#"{"data":1}"#), Some(Fault::BAD_REQUEST));
        assert_eq!(fault(r#"{"room":"","data":1}"#), Some(Fault::BAD_REQUEST));
        assert_eq!(fault(r#"{"room":"a"}"#), Some(Fault::BAD_REQUEST));
    }
}
