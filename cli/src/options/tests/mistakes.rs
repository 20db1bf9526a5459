//! Mistakes in a file, and what is said of each.

use super::super::document;
use super::super::{Inputs, Origin, Source, template};
use super::{Scratch, load, word};

/// Mistakes in a file, and all that is said of each.
const MISTAKES: &[(&str, &str)] = &[
    ("workers = \"many\"", "invalid value 'many' for 'workers': a number from 1 to 1024 is needed"),
    ("workers = -1", "invalid value '-1' for 'workers': a number from 1 to 1024 is needed"),
    (
        "workers = true",
        "invalid value 'true' for 'workers': a number like 40000 or \"100k\" is needed, not \
         true or false",
    ),
    (
        "max_backlog = \"lots\"",
        "invalid value 'lots' for 'max_backlog': a size like 65536, 64KB (64,000), 64KiB (65,536) \
         or 1.5MiB is needed",
    ),
    (
        "memory = 1.5",
        "invalid value '1.5' for 'memory': a size like \"64KiB\" is needed, not a number with a \
         point",
    ),
    (
        "drain = \"10 seconds\"",
        "invalid value '10 seconds' for 'drain': a duration like 500ms, 25s or 1m30s is needed (0 \
         for off)",
    ),
    (
        "ping_interval = 25",
        "invalid value '25' for 'ping_interval': it has no unit: \"25s\" is seconds, \"25ms\" less",
    ),
    (
        "ping_interval = \"25\"",
        "invalid value '25' for 'ping_interval': it has no unit: \"25s\" is seconds, \"25ms\" less",
    ),
    (
        "rooms = [{ match = \"*\", batch_delay = \"5\" }]",
        "invalid value '5' for 'batch_delay' of a rule of rooms: it has no unit: \"5s\" is \
         seconds, \"5ms\" less",
    ),
    (
        "backend = \"kqueue\"",
        "invalid value 'kqueue' for 'backend': auto, epoll or io_uring is needed",
    ),
    (
        "backend = 1",
        "invalid value '1' for 'backend': one of the strings auto, epoll, io_uring is needed, not \
         a number",
    ),
    (
        "listen = 8080",
        "invalid value '8080' for 'listen': an array of strings is needed, not a number",
    ),
    (
        "listen = [8080]",
        "invalid value '8080' for 'listen': a string is needed, with quotes around it",
    ),
    (
        "[listen]\nport = 1",
        "invalid value for 'listen': an array of strings is needed, not a table",
    ),
    (
        "unix.mode = 660",
        "invalid value '660' for 'unix.mode': a string is needed, with quotes around it",
    ),
    ("unix.mode = 0660", "unexpected leading zero, expected nothing; put it in quotes"),
    (
        "room_info = \"true\"",
        "invalid value 'true' for 'room_info': true or false is needed, without quotes",
    ),
    (
        "log.access = 2",
        "invalid value '2' for 'log.access': on, off, or a share from 0.0001% to 100% like 1% or \
         0.01 is needed",
    ),
    (
        "log.access = 1979-05-27",
        "invalid value for 'log.access': \"on\", \"off\" or a share like \"1%\" is needed, not a \
         date",
    ),
    ("log = 3", "'log' is a table, not a number: write [log]"),
    ("[[log]]\nlevel = \"info\"", "'log' is a table, not an array: write [log]"),
    ("max_backlogs = 1", "unknown option 'max_backlogs': is 'max_backlog' meant?"),
    ("max-backlog = 1", "unknown option 'max-backlog': is 'max_backlog' meant?"),
    ("log_level = \"info\"", "unknown option 'log_level': is 'log.level' meant?"),
    ("log.levle = \"info\"", "unknown option 'log.levle': is 'log.level' meant?"),
    ("colour = \"red\"", "unknown option 'colour': `throng config reference` lists them all"),
    ("[server]\na = 1", "unknown option 'server': `throng config reference` lists them all"),
    ("\"log.level\" = \"info\"", "unknown option 'log.level': write it without quotes"),
    ("log.workers = 1", "unknown option 'log.workers': 'workers' stands above the first [table]"),
    ("workers =", "the value is missing"),
    ("backend = epoll", "text needs quotes around it"),
    (
        "routes = 4",
        "invalid value '4' for 'routes': a table of paths and rooms is needed, not a number",
    ),
    ("routes.\"/a\" = 4", "the room of '/a' must be a string, not a number"),
    ("routes.\"a\" = \"b\"", "invalid route: `a` is no path: one looks like /chat"),
    (
        "routes.\"/echo\" = \"b\"",
        "invalid route: `/echo` has a meaning of its own: choose another path",
    ),
    (
        "rooms = {}",
        "invalid value for 'rooms': an array of tables, which begin with [[rooms]], is needed, not \
         a table",
    ),
    ("rooms = [1]", "a rule of rooms is a table, not a number"),
    ("rooms = [{}]", "a rule of rooms needs to say for which: `match = \"*\"` is all rooms"),
    (
        "rooms = [{ match = \"\" }]",
        "'match' of a rule of rooms must be a name like \"news-*\", not a string",
    ),
    (
        "rooms = [{ match = \"*\", enabled = 1 }]",
        "invalid value '1' for 'enabled' of a rule of rooms: true or false is needed, not a number",
    ),
    (
        "rooms = [{ match = \"*\", policy = \"drop\" }]",
        "invalid value 'drop' for 'policy' of a rule of rooms: disconnect, drop_oldest or latest \
         is needed",
    ),
    (
        "rooms = [{ match = \"*\", batch_delay = \"2s\" }]",
        "invalid value '2s' for 'batch_delay' of a rule of rooms: a duration up to 1s like 50ms is \
         needed",
    ),
    ("limits = 3", "'limits' is a table, not a number: write [limits]"),
    ("limits.per_ip = 3", "'limits.per_ip' is a table, not a number: write [limits.per_ip]"),
    (
        "limits.per_ip.connection = 1",
        "unknown option 'limits.per_ip.connection': is 'limits.per_ip.connections' meant?",
    ),
    (
        "limits.per_ip.over = \"close\"",
        "unknown option 'limits.per_ip.over': is 'limits.over' meant?",
    ),
    (
        "limits.per_ip.listen = 3",
        "unknown option 'limits.per_ip.listen': 'listen' stands above the first [table]",
    ),
    (
        "proxy_protocol = true",
        "'proxy_protocol': nobody may send a PROXY header: name the proxies that do, by \
         --trusted-proxies or `trusted_proxies = [\"10.0.0.0/8\"]`",
    ),
    (
        "trusted_proxies = [\"10.0.0.0/40\"]",
        "invalid value '10.0.0.0/40' for 'trusted_proxies': `10.0.0.0/40` has 40 bits in front, \
         and an address has 32",
    ),
    (
        "trusted_proxies = [\"10.0.0.1/8\"]",
        "invalid value '10.0.0.1/8' for 'trusted_proxies': `10.0.0.1/8` has bits behind its first \
         8: leave them 0",
    ),
    (
        "rooms = [{ match = \"*\", trusted_proxies = [\"127.0.0.1\"] }]",
        "unknown option 'trusted_proxies' of a rule of rooms: it is one of the server, and \
         stands above the first [table] and [[rooms]]",
    ),
    ("rooms = [{ matc = \"*\" }]", "unknown option 'matc' of a rule of rooms: is 'match' meant?"),
    (
        "operator.listen = [\":1\", \":2\"]",
        "invalid value for 'operator.listen': one address is needed, or off",
    ),
    (
        "operator.key = \"two words\"",
        "invalid value for 'operator.key': the key has spaces or bytes that are no ASCII; `openssl \
         rand -hex 32` makes one",
    ),
    (
        "operator.listen = \":9\"",
        "'operator.listen': :9 can be reached from other machines: it needs a key, by \
         --operator-key-file, THRONG_OPERATOR_KEY or operator.key (`openssl rand -hex 32` makes \
         one)",
    ),
    (
        "api.public = true",
        "'api.public': clients reach it then: it needs a key, by --operator-key-file, \
         THRONG_OPERATOR_KEY or operator.key (`openssl rand -hex 32` makes one)",
    ),
    (
        "operator.listen = \"127.0.0.1:8080\"",
        "'operator.listen': 127.0.0.1:8080 is where clients connect (127.0.0.1:8080): choose \
         another, or `--operator off` or `operator.listen = \"off\"`",
    ),
    (
        "listen = \":8081\"",
        "'listen': :8081 is the port for operators (127.0.0.1:8081): choose another, or \
         `--operator off` or `operator.listen = \"off\"`",
    ),
    ("listen = [\":9\", \"9\"]", "'listen': :9 is there twice: name it once"),
    (
        "operator = { key = \"0123456789abcdef\", key_file = \"/dev/null\" }",
        "'operator.key_file': operator.key is given too: give one of them",
    ),
    (
        "operator.key_file = \"/nowhere/key\"",
        "'operator.key_file': /nowhere/key: there is no such file; `openssl rand -hex 32 > \
         /nowhere/key` makes one",
    ),
];

#[test]
fn each_mistake_has_one_line_that_names_file_line_key_and_remedy() {
    for (number, (text, says)) in MISTAKES.iter().enumerate() {
        let text = format!("# a comment\n\n{text}");
        let lines = load(&format!("mistake-{number}"), &text, Vec::new()).expect_err(&text);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let found = lines.iter().any(|line| *line == format!("a.toml:3: {says}"));
        let expected = if text.contains("/dev/null") { 2 } else { 1 };
        assert!(found && lines.len() == expected, "{text}\n{says}\n{lines:#?}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_in_its_order() {
    let text = "workers = 0\nlisten = [\n \":1\",\n \"x\",\n]\n[log]\nlevel = 1\nlevel = 2\nfoo = \
                1\n[[rooms]]\nmatch = \"a\"\n[[rooms]]\nenabled = true\n";
    let lines = load("all", text, Vec::new()).expect_err("it is bad");
    let numbers: Vec<&str> = lines.iter().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(numbers, ["1", "4", "7", "8", "9", "12"], "{lines:#?}");
}

#[test]
fn pings_that_nobody_sends_cannot_be_waited_for() {
    let text = "ping_interval = 0\npong_timeout = \"5s\"";
    let lines = load("pings", text, Vec::new()).expect_err("it is bad");
    let says = "'pong_timeout': with `ping_interval = 0` there are no pings to answer: take one of \
                them away";
    assert_eq!(lines, [format!("a.toml:2: {says}")]);
    let flag = word("ping_interval", "0", Origin::Flag);
    assert!(load("pings-flag", "pong_timeout = \"5s\"", vec![flag]).is_ok(), "it is for once");
}

#[test]
fn what_cannot_be_read_is_told_with_its_cause() {
    let cause = |source: Source| {
        let shown = source.to_string();
        let inputs = Inputs { words: Vec::new(), file: Some(source) };
        let lines = inputs.load().expect_err("it cannot be read");
        lines.join("\n").replace(&shown, "a.toml")
    };
    let nowhere = Source::new("/nowhere/throng.toml".into());
    let says = "a.toml: there is no such file; `throng config default` prints one to begin with";
    assert_eq!(cause(nowhere), says);
    let folder = cause(Source::new(std::env::temp_dir()));
    assert_eq!(folder, "a.toml: that is a directory: name a file in it");
    let large = Scratch::new("large", vec![b'\n'; (1 << 20) + 1]);
    let says = "a.toml: it has more than 1048576 bytes: name the right file";
    assert_eq!(cause(Source::Path(large.0.clone())), says);
    let latin = Scratch::new("latin", b"# a\n# b\xe4\n");
    let says = "a.toml:2: this is no UTF-8: save the file as UTF-8";
    assert_eq!(cause(Source::Path(latin.0.clone())), says);
    let full = Scratch::new("full", vec![b'\n'; 1 << 20]);
    assert!(full.inputs(Vec::new()).load().is_ok(), "so much may be");
}

/// A file with everything in it, and what breaks the text of one.
#[test]
fn no_text_is_too_broken_to_be_told_where() {
    let good = template().replace("\n#", "\n").replace("\n ", "\n# ");
    let pieces =
        ["\"", "'", "[", "]", "{", "}", "=", "\n", ".", ",", "#", "\\", "\u{0}", "é", "[["];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as usize % bound
    };
    for _ in 0..3_000 {
        let mut text: Vec<char> = good.chars().collect();
        let from = below(text.len());
        text = text[from..].iter().take(1 + below(400)).copied().collect();
        for _ in 0..below(6) {
            let at = below(text.len());
            let behind = (at + below(3)).min(text.len());
            text.splice(at..behind, pieces[below(pieces.len())].chars());
            text.push('\n');
        }
        let text: String = text.into_iter().collect();
        let lines = text.split('\n').count();
        let (_, faults) = document::read(&text);
        let is_there = |line: Option<usize>| line.is_some_and(|line| (1..=lines).contains(&line));
        assert!(faults.iter().all(|fault| is_there(fault.line())), "{faults:?} in\n{text}");
    }
    let (_, faults) = document::read(&"\n".repeat(9).replace('\n', "a=\n").repeat(20_000));
    assert!(faults.len() <= 1000, "{}", faults.len());
    let deep = format!("listen = {}", "[".repeat(100_000));
    assert!(!document::read(&deep).1.is_empty());
    assert!(!document::read(&"a.".repeat(100_000)).1.is_empty());
}
