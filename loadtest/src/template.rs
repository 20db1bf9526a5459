//! Texts with places: `{id}` and `{room}` of a client, `{payload}` of a message.

/// A text that was taken apart at its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Clients of one room.
    room_size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Id,
    Room,
    Payload,
}

const PLACES: [(&str, Part); 3] =
    [("{id}", Part::Id), ("{room}", Part::Room), ("{payload}", Part::Payload)];

impl Template {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let next = PLACES.iter().filter_map(|(place, part)| {
                rest.find(place).map(|at| (at, place.len(), part.clone()))
            });
            let Some((at, length, part)) = next.min_by_key(|(at, ..)| *at) else {
                parts.push(Part::Text(rest.into()));
                break;
            };
            if at > 0 {
                parts.push(Part::Text(rest[..at].into()));
            }
            parts.push(part);
            rest = &rest[at + length..];
        }
        Self { parts, room_size: u32::MAX }
    }

    /// A text for messages: `{payload}` must be in it.
    pub(crate) fn with_payload(text: Option<&str>) -> Result<Option<Self>, String> {
        let template = text.map(Self::new);
        match template {
            Some(template) if !template.parts.contains(&Part::Payload) => {
                Err("--publish needs {payload} in its text".into())
            }
            template => Ok(template),
        }
    }

    /// Makes `{room}` the number of the client divided by `room_size`.
    pub(crate) fn set_room_size(&mut self, room_size: u32) {
        self.room_size = room_size.max(1);
    }

    /// Appends the text for one client and payload.
    pub(crate) fn write(&self, client: u32, payload: &[u8], out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Id => out.extend_from_slice(client.to_string().as_bytes()),
                Part::Room => {
                    out.extend_from_slice((client / self.room_size).to_string().as_bytes());
                }
                Part::Payload => out.extend_from_slice(payload),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, client: u32) -> String {
        let mut out = Vec::new();
        let mut template = Template::new(text);
        template.set_room_size(10);
        template.write(client, b"PAY", &mut out);
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(written("", 1), "");
        assert_eq!(written("a{b}c", 1), "a{b}c");
        assert_eq!(written("{id}", 42), "42");
        assert_eq!(
            written(r#"{"room":"r{room}","id":{id},"data":"{payload}"}"#, 42),
            r#"{"room":"r4","id":42,"data":"PAY"}"#
        );
        assert!(Template::with_payload(Some("a{payload}")).is_ok_and(|text| text.is_some()));
        assert!(Template::with_payload(Some("payload")).is_err());
        assert_eq!(Template::with_payload(None), Ok(None));
    }
}
