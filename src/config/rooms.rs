//! What may be done in raw rooms, by their names.

use std::time::Duration;

use super::Policy;

/// Rules for rooms, of which the first that matches a name holds; others have the default rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomRules(Vec<RoomRule>);

/// What holds for the rooms whose names match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRule {
    /// Which rooms: a name, in which `*` stands for any bytes and `?` for one character.
    pub matches: String,
    /// Whether there are such rooms: an upgrade gets 403 otherwise.
    pub enabled: bool,
    /// Whether clients may publish: a message of one that may not closes it with 1008.
    pub client_publish: bool,
    /// Whether who publishes gets its own message too.
    pub echo_to_sender: bool,
    /// How what is published comes to its members.
    pub delivery: Delivery,
}

/// How what is published in a topic comes to its subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What becomes of it where a subscriber does not keep up.
    pub policy: Policy,
    /// Bytes of memory that may wait for a subscriber; `None` is [`super::Config::max_backlog`].
    pub backlog: Option<usize>,
    /// How long publications gather before they leave in one send for each subscriber.
    pub batch_delay: Duration,
}

impl Default for RoomRule {
    fn default() -> Self {
        Self {
            matches: "*".to_owned(),
            enabled: true,
            client_publish: true,
            echo_to_sender: true,
            delivery: Delivery::default(),
        }
    }
}

/// Rules at most: each name is held against all of them when somebody joins.
pub const ROOM_RULES_MAX: usize = 256;

impl RoomRules {
    /// In this order.
    ///
    /// # Errors
    ///
    /// If there are more than [`ROOM_RULES_MAX`], or one matches nothing.
    pub fn new(rules: Vec<RoomRule>) -> Result<Self, String> {
        if rules.len() > ROOM_RULES_MAX {
            return Err(format!("there are {} rules, and {ROOM_RULES_MAX} may be", rules.len()));
        }
        if rules.iter().any(|rule| rule.matches.is_empty()) {
            return Err("a rule for the empty name matches no room".into());
        }
        Ok(Self(rules))
    }

    /// The rule for a room; `None` is the default.
    #[must_use]
    pub fn of(&self, room: &str) -> Option<&RoomRule> {
        self.0.iter().find(|rule| matches(&rule.matches, room))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &RoomRule> {
        self.0.iter()
    }
}

/// Whether a pattern matches all of a name. Each `*` goes on from the last one only, so it takes
/// the product of both lengths at most.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut next = pattern.clone();
        match (next.next(), name.clone().next()) {
            (Some('*'), _) => {
                star = Some((next.clone(), name.clone()));
                pattern = next;
            }
            (None, None) => return true,
            (Some(p), Some(n)) if p == '?' || p == n => {
                pattern = next;
                name.next();
            }
            _ => {
                let Some((behind, from)) = &mut star else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, name) = (behind.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("a", "a"),
            ("news-*", "news-"),
            ("news-*", "news-de"),
            ("*-de", "news-de"),
            ("a*b*c", "aXbXbc"),
            ("?", "é"),
            ("a?c*", "abc"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "b"), ("a", ""), ("", "a"), ("news-*", "news"), ("a*b", "abc"), ("?", "")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        let many = "*a".repeat(100);
        assert!(!matches(&many, &"a".repeat(99)), "it ends soon");
    }

    #[test]
    fn the_first_rule_holds() {
        let rule = |matches: &str, client_publish| RoomRule {
            matches: matches.into(),
            client_publish,
            ..RoomRule::default()
        };
        let rules = RoomRules::new(vec![rule("news-*", false), rule("news-x", true)]);
        let rules = rules.expect("they are good");
        assert!(rules.of("news-x").is_some_and(|rule| !rule.client_publish));
        assert_eq!(rules.of("lobby"), None);
        assert!(RoomRules::new(vec![rule("", true)]).is_err());
        assert!(RoomRules::new(vec![rule("a", true); ROOM_RULES_MAX + 1]).is_err());
    }
}
