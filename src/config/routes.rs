//! Which paths lead to which rooms.

/// Paths of upgrades, beside `/room/{name}`, and the rooms that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes(Vec<(String, String)>);

/// An upgrade at `/` joins the lobby: what everybody types first works.
impl Default for Routes {
    fn default() -> Self {
        Self(vec![("/".to_owned(), "lobby".to_owned())])
    }
}

impl Routes {
    /// These and no others: paths as they stand in a request, still percent-encoded, with rooms.
    ///
    /// # Errors
    ///
    /// A sentence about the first path or room that cannot be.
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (path, room) in routes {
            check(&path, &room)?;
            if all.iter().any(|(other, _)| *other == path) {
                return Err(format!("the path `{path}` stands there twice"));
            }
            all.push((path, room));
        }
        Ok(Self(all))
    }

    /// The room that an upgrade at this path joins.
    #[must_use]
    pub fn room(&self, path: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == path).map(|(_, room)| room)
    }

    /// All of them, path and room.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, room)| (path.as_str(), room.as_str()))
    }
}

/// Paths that have another meaning; all that begins so where a `*` follows.
const TAKEN: [&str; 9] = [
    "/echo", "/room/*", "/rooms/*", "/api/*", "/health", "/healthz", "/livez", "/ready", "/readyz",
];

fn check(path: &str, room: &str) -> Result<(), String> {
    let is_path = path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if !is_path {
        return Err(format!("`{path}` is no path: one looks like /chat"));
    }
    let is_taken = TAKEN.iter().any(|taken| match taken.strip_suffix('*') {
        Some(folder) => path.starts_with(folder),
        None => path == *taken,
    });
    if is_taken {
        return Err(format!("`{path}` has a meaning of its own: choose another path"));
    }
    if room.contains(|c: char| c.is_ascii_control()) {
        return Err(format!("the room of `{path}` has a control character in its name"));
    }
    match room.len() {
        1..=crate::limits::ROOM_NAME_BYTES_MAX => Ok(()),
        length => Err(format!(
            "the room of `{path}` has {length} bytes, and a name has 1 to {}",
            crate::limits::ROOM_NAME_BYTES_MAX
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(pairs: &[(&str, &str)]) -> Result<Routes, String> {
        Routes::new(pairs.iter().map(|(path, room)| ((*path).to_owned(), (*room).to_owned())))
    }

    #[test]
    fn a_path_leads_to_its_room() {
        let routes = routes(&[("/chat", "lobby"), ("/a%20b", "x")]).expect("they are good");
        assert_eq!(routes.room("/chat"), Some("lobby"));
        assert_eq!(routes.room("/a%20b"), Some("x"));
        assert_eq!(routes.room("/"), None, "named routes are all there are");
        assert_eq!(Routes::default().room("/"), Some("lobby"));
    }

    #[test]
    fn what_cannot_be_a_route_is_refused() {
        let long = "x".repeat(256);
        for (path, room) in [
            ("chat", "a"),
            ("", "a"),
            ("/a?b", "a"),
            ("/a b", "a"),
            ("/echo", "a"),
            ("/room/x", "a"),
            ("/rooms/x", "a"),
            ("/api/x", "a"),
            ("/ready", "a"),
            ("/chat", ""),
            ("/chat", "a\u{1}"),
            ("/chat", &long),
        ] {
            assert!(routes(&[(path, room)]).is_err(), "{path} {room}");
        }
        assert!(routes(&[("/a", "b"), ("/a", "c")]).is_err_and(|error| error.contains("twice")));
    }
}
