//! What all that gives options comes to.

mod mistakes;

use std::fs;
use std::path::PathBuf;

use super::document;
use super::fault;
use super::*;

/// A file that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("throng-{}-{name}", std::process::id()));
        fs::write(&path, text).expect("the name is ours");
        Self(path)
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn inputs(&self, words: Vec<Assignment>) -> Inputs {
        Inputs { words, file: Some(Source::Path(self.0.clone())) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that is left over is no reason to fail.
        let _ = fs::remove_file(&self.0);
    }
}

fn word(key: &str, text: &str, origin: Origin) -> Assignment {
    let option = find(key).expect("it is one");
    Assignment { option, given: Given::Text(text.to_owned()), origin }
}

/// What a file comes to, or the lines that say why not.
fn load(name: &str, text: &str, words: Vec<Assignment>) -> Result<Settings, Vec<String>> {
    let file = Scratch::new(name, text);
    let loaded = file.inputs(words).load();
    let loaded = loaded
        .map_err(|lines| lines.iter().map(|line| line.replace(&file.name(), "a.toml")).collect());
    loaded.map(|all: Effective| all.settings)
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let layers = [Origin::Flag, Origin::Variable];
    let all: Vec<_> = layers.map(|origin| word("workers", "3", origin)).into();
    let workers = |text: &str, words: Vec<Assignment>| {
        load("layers", text, words).expect("it is good").config.workers
    };
    assert_eq!(workers("", Vec::new()), Settings::default().config.workers);
    assert_eq!(workers("workers = 1", Vec::new()), 1);
    assert_eq!(workers("workers = 1", vec![word("workers", "2", Origin::Variable)]), 2);
    let mut words = all.clone();
    words[1] = word("workers", "2", Origin::Variable);
    assert_eq!(workers("workers = 1", words), 3);
}

#[test]
fn what_a_file_says_is_what_the_flag_of_it_says() {
    for option in all() {
        let (Default::Value(text) | Default::Words { example: text, .. }) = option.default;
        let has_no_flag = option.kind.is_table() || text.is_empty();
        if has_no_flag || option.key == "operator.key_file" {
            continue;
        }
        let line = format!("{} = {}", option.key, value::written(option.kind, text));
        let by_file = load(option.key, &line, Vec::new()).expect(&line);
        let by_flag = load(option.key, "", vec![word(option.key, text, Origin::Flag)]);
        let by_flag = by_flag.expect(option.key);
        assert_eq!(format!("{by_file:?}"), format!("{by_flag:?}"), "{line}");
        let differs = format!("{by_file:?}") != format!("{:?}", Settings::default());
        let is_example = matches!(option.default, Default::Words { .. });
        assert_eq!(differs, is_example, "{line}");
    }
}

#[test]
fn values_can_be_written_as_toml_has_them() {
    for (text, flag) in [
        ("max_backlog = 65_536", ("max_backlog", "64KiB")),
        ("max_backlog = 0x10000", ("max_backlog", "65536")),
        ("ping_interval = 0", ("ping_interval", "0s")),
        ("compression = false", ("compression", "off")),
        ("log.access = true", ("log.access", "100%")),
        ("log.access = 0.01", ("log.access", "1%")),
        ("listen = \":1,:2\"", ("listen", ":1,:2")),
        ("listen = [\":1\", \":2\"]", ("listen", ":1,:2")),
        ("operator.listen = [\"unix:/a\"]", ("operator.listen", "unix:/a")),
        ("operator = { listen = \"off\" }", ("operator.listen", "off")),
        ("[operator]\nmetrics = false", ("operator.metrics", "false")),
    ] {
        let by_file = load("written", text, Vec::new()).expect(text);
        let by_flag = load("written", "", vec![word(flag.0, flag.1, Origin::Flag)]).expect(flag.0);
        assert_eq!(format!("{by_file:?}"), format!("{by_flag:?}"), "{text}");
    }
}

#[test]
fn routes_and_rules_of_rooms_are_read_in_their_order() {
    let text = "[routes]\n\"/chat\" = \"lobby\"\n\"/\" = \"hall\"\n[[rooms]]\nmatch = \"news-*\"\n\
                client_publish = false\n[[rooms]]\nmatch = \"*\"\necho_to_sender = false\n";
    let config = load("rooms", text, Vec::new()).expect("it is good").config;
    assert_eq!(config.routes.room("/chat"), Some("lobby"));
    assert_eq!(config.routes.room("/"), Some("hall"));
    let rules: Vec<_> = config.rooms.iter().collect();
    assert_eq!((rules[0].matches.as_str(), rules[0].client_publish), ("news-*", false));
    assert_eq!((rules[1].matches.as_str(), rules[1].client_publish), ("*", true));
    assert!(rules[0].echo_to_sender && !rules[1].echo_to_sender && rules[0].enabled);
}

#[test]
fn a_key_is_read_from_its_file_and_never_shown() {
    let key = Scratch::new("key", "0123456789abcdef\n");
    let text = format!("operator.key_file = {:?}\noperator.listen = \":9\"", key.name());
    let settings = load("key-file", &text, Vec::new()).expect("it is good");
    let given = word("operator.key", "0123456789abcdef", Origin::Variable);
    let by_variable = load("key-variable", "", vec![given]).expect("it is good");
    assert!(settings.operator.key.is_some() && settings.operator.key == by_variable.operator.key);
    let shown = format!("{settings:?}");
    assert!(shown.contains("***") && !shown.contains("0123456789abcdef"), "{shown}");
    let empty = Scratch::new("empty-key", " \n");
    let text = format!("operator.key_file = {:?}", empty.name());
    let lines = load("no-key", &text, Vec::new()).expect_err("it is empty");
    assert!(lines[0].contains("a key is needed"), "{lines:?}");
}

#[test]
fn the_file_to_begin_with_has_every_option_and_gives_none() {
    let template = template();
    assert!(load("template", &template, Vec::new()).is_ok());
    let (given, faults) = document::read(&template);
    assert!(given.is_empty() && faults.is_empty(), "{given:?} {faults:?}");
    let mut found = 0;
    let is_option =
        |line: &&str| line.starts_with('#') && line.contains('=') && !line.starts_with("# ");
    let is_rule = |line: &&str| {
        let key = line[1..].split(' ').next();
        key == Some("match") || list::RULE_FIELDS.iter().any(|field| key == Some(field.key))
    };
    for line in template.lines().filter(is_option).filter(|line| !is_rule(line)) {
        let set = template.replace(&format!("\n{line}\n"), &format!("\n{}\n", &line[1..]));
        let set = set.replace("#[routes]", "[routes]");
        let (given, faults) = document::read(&set);
        let lines = fault::lines(faults, "template");
        // No key stands there that somebody might keep.
        assert!(lines.is_empty() || line.starts_with("#key ="), "{line}: {lines:?}");
        found += given.iter().filter(|given| given.option.key != "routes").count();
    }
    let all = all().filter(|option| !option.kind.is_table() && option.kind != Kind::Secret);
    assert_eq!(found, all.count());
    let rules = template.replace("\n#", "\n").replace("\n ", "\n# ");
    let rooms = rules.split_once("[[rooms]]").expect("it is there").1;
    let (given, faults) = document::read(&format!("[[rooms]]{rooms}"));
    assert!(given.len() == 1 && faults.is_empty(), "{rooms}: {faults:?}");
}

#[test]
fn what_is_in_force_says_the_same_when_it_is_read() {
    let text = "workers = 4\nlisten = [\":1\", \"unix:/a b\"]\nlog.level = \"warn\"\n\
                operator.key = \"0123456789abcdef\"\n[routes]\n\"/a\" = \"b\\\"c\"\n[[rooms]]\n\
                match = \"x\"\nenabled = false\n";
    let file = Scratch::new("in-force", text);
    let words = vec![word("drain", "1s", Origin::Flag), word("log.access", "1%", Origin::Variable)];
    let all = file.inputs(words).load().expect("it is good");
    let printed = effective(&all);
    assert!(!printed.contains("0123456789abcdef"), "{printed}");
    for line in [
        format!("workers = 4 # {}:1", file.name()),
        "drain = \"1s\" # --drain".to_owned(),
        "access = \"1%\" # THRONG_LOG_ACCESS".to_owned(),
        format!("level = \"warn\" # {}:3", file.name()),
        format!("key = \"***\" # {}:4", file.name()),
        "pin = \"auto\" # default".to_owned(),
        "# memory: half of the host's or the cgroup's (default)".to_owned(),
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line} is not in\n{printed}");
    }
    let again = load("again", &printed, Vec::new()).expect(&printed);
    assert_eq!(format!("{again:?}"), format!("{:?}", all.settings));
}

#[test]
fn the_reference_has_every_option() {
    let reference = reference();
    for option in all() {
        assert!(reference.contains(&format!("### `{}`\n", option.key)), "{}", option.key);
        let variable = option.variable().unwrap_or_default();
        assert!(reference.contains(&variable), "{variable}");
    }
}

#[test]
fn a_reload_takes_what_it_can_and_names_the_rest() {
    let file = Scratch::new("reload", "workers = 2\ndrain = \"1s\"\nping_interval = \"1s\"\n");
    let inputs = file.inputs(vec![word("memory", "1GiB", Origin::Flag)]);
    let running = inputs.load().expect("it is good").settings;
    let text = "workers = 4\ndrain = \"2s\"\nping_interval = \"1000ms\"\nmemory = \"2GiB\"\n\
                listen = \":1\"\nlog = { level = \"debug\", format = \"json\" }\nmax_backlog = 5\n";
    fs::write(&file.0, text).expect("it is ours");
    let reloaded = inputs.reload(&running).expect("it is good");
    assert_eq!(reloaded.needs_restart, ["listen", "workers", "log.format"]);
    let settings = reloaded.settings;
    assert_eq!((settings.config.workers, settings.config.max_backlog), (2, 5));
    assert_eq!(settings.config.drain.as_secs(), 2);
    assert_eq!(settings.config.memory, running.config.memory, "the flag still wins");
    assert_eq!(settings.log.level, LogLevel::Debug);
    assert_eq!(settings.log.format, running.log.format);
    fs::write(&file.0, "drain = 4\n").expect("it is ours");
    let lines = inputs.reload(&running).expect_err("it is bad");
    assert!(lines[0].contains(":1: invalid value '4' for 'drain'"), "{lines:?}");
    let stdin = Inputs { words: Vec::new(), file: Some(Source::Stdin) };
    assert!(stdin.reload(&running).is_err_and(|lines| lines[0].contains("cannot be read again")));
}

/// What stays until a restart is judged beside what the file has come to say.
#[test]
fn a_reload_opens_no_door_that_stays_when_its_key_goes() {
    const KEY: &str = "operator.key = \"0123456789abcdef\"\n";
    for (open, loopback, blamed) in [
        ("api.public = true\n", "", "api.public"),
        ("api.public = true\n", "operator.listen = \"off\"\n", "api.public"),
        ("operator.listen = \":9\"\n", "", "operator.listen"),
        ("operator.listen = \":9\"\n", "operator.listen = \"off\"\n", "operator.listen"),
    ] {
        let file = Scratch::new("doors", format!("{KEY}{open}"));
        let inputs = file.inputs(Vec::new());
        let running = inputs.load().expect("it has a key").settings;
        fs::write(&file.0, loopback).expect("it is ours");
        assert!(inputs.load().is_ok(), "for another start it is good: {loopback:?}");
        let lines = inputs.reload(&running).expect_err(blamed);
        let told = lines.join("\n");
        assert!(told.contains(blamed) && told.contains("needs a key"), "{told}");
        assert!(told.contains("until a restart"), "it says why that counts: {told}");
        fs::write(&file.0, format!("{KEY}{loopback}")).expect("it is ours");
        assert!(inputs.reload(&running).is_ok(), "with the key it may stay open");
    }
}

#[test]
fn what_is_right_for_another_start_and_opens_nothing_is_taken() {
    let file = Scratch::new("pings", "ping_interval = 0\n");
    let inputs = file.inputs(Vec::new());
    let running = inputs.load().expect("it is good").settings;
    fs::write(&file.0, "ping_interval = \"25s\"\npong_timeout = \"9s\"\nkeep_alive = \"9s\"\n")
        .expect("it is ours");
    let reloaded = inputs.reload(&running).expect("pings come with the next start");
    assert_eq!(reloaded.needs_restart, ["ping_interval", "pong_timeout"]);
    assert_eq!(reloaded.settings.config.keep_alive.as_secs(), 9);
}

/// What a server that runs can change, and what it cannot.
#[test]
fn each_option_says_whether_a_reload_changes_it() {
    let at_start = all().filter(|option| matches!(option.reload, definition::Reload::AtStart(_)));
    let at_start: Vec<&str> = at_start.map(|option| option.key).collect();
    let expected = [
        "listen",
        "unix.mode",
        "unix.group",
        "workers",
        "pin",
        "backend",
        "ping_interval",
        "pong_timeout",
        "operator.listen",
        "api.public",
        "log.format",
    ];
    assert_eq!(at_start, expected);
}
