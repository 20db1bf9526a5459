//! Lists of connections and rooms.

use std::collections::BTreeSet;

use testkit::client::Client;
use throng::config::Backend;

use super::Operated;

on_both!(pages_have_each_connection_once, rooms_are_sorted_by_members_or_by_name);

fn pages_have_each_connection_once(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let clients: Vec<Client> = (0..23).map(|_| server.client("/room/a")).collect();
    let _others: Vec<Client> = (0..4).map(|_| server.client("/echo")).collect();
    for limit in [1, 5, 23, 1000] {
        let (mut names, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let path = format!("/api/connections?room=a&limit={limit}{cursor}");
            let page = server.value(&path);
            let list = page["connections"].as_array().expect("it is a list");
            assert!(list.len() <= limit);
            for connection in list {
                assert_eq!(connection["rooms"][0], "a");
                let name = connection["client"].as_str().expect("it has a name");
                assert!(names.insert(name.to_owned()), "{name} is there twice");
            }
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(names.len(), clients.len(), "{limit}");
    }
    let count = |path: &str| server.value(path)["connections"].as_array().map(Vec::len);
    assert_eq!(count("/api/connections?address=127.0.0.1"), Some(27));
    assert_eq!(count("/api/connections?address=127.0.0.2"), Some(0));
    for bad in ["address=a", "cursor=a", "cursor=1", "limit=a"] {
        assert_eq!(server.get(&format!("/api/connections?{bad}")).status, 400, "{bad}");
    }
    assert_eq!(count("/api/connections?cursor=9-0"), Some(0), "a worker that there is not");
}

fn rooms_are_sorted_by_members_or_by_name(backend: Backend) {
    let server = Operated::start(backend, &["--workers", "2"]);
    let _clients: Vec<Client> =
        ["b", "c", "c", "a"].map(|room| server.client(&format!("/room/{room}"))).into();
    let rooms = |query: &str| {
        let page = server.value(&format!("/api/rooms?{query}"));
        let names = page["rooms"].as_array().expect("it is a list").iter();
        let names: Vec<_> = names.map(|room| room["room"].to_string()).collect();
        (names.concat().replace('"', ""), page["cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(rooms(""), ("cab".to_owned(), None));
    assert_eq!(rooms("sort=name"), ("abc".to_owned(), None));
    let (first, cursor) = rooms("limit=2");
    assert_eq!(first, "ca");
    let rest = rooms(&format!("limit=2&cursor={}", cursor.expect("there is one more")));
    assert_eq!(rest, ("b".to_owned(), None));
    assert_eq!(server.get("/api/rooms?sort=size").status, 400);
}
