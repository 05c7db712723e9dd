//! The merge as a whole, over a process of its own; and what tests of real processes need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use serde::{Deserialize, Serialize};

use super::{Effective, Key, Kind, Layers, Process, Settings};
use crate::failure::Failure;

/// Settings as a command line says them; the environment of the test is left out.
pub(crate) fn parse<P: Process>(line: &[&str]) -> Settings<P> {
    let command = Settings::<P>::augment_args(Command::new("test"));
    let global = clap::Arg::new("coordinators").long("coordinators");
    let command = command
        .arg(global)
        .mut_args(|argument| argument.env(None::<&str>));
    let matches = command
        .try_get_matches_from([&["test"], line].concat())
        .unwrap();
    Settings::from_arg_matches(&matches).unwrap()
}

/// The path of every setting that the two types of a process have.
pub(crate) fn keys_of<P: Process>() -> BTreeSet<&'static str> {
    let mut keys = BTreeSet::new();
    for tree in [
        serde_json::to_value(P::Config::default()).unwrap(),
        serde_json::to_value(P::Extra::default()).unwrap(),
    ] {
        walk("", &tree, &mut keys);
    }
    keys
}

fn walk(path: &str, value: &serde_json::Value, keys: &mut BTreeSet<&'static str>) {
    match value {
        serde_json::Value::Object(map) if path.is_empty() || !map.is_empty() => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{name}"), value, keys);
            }
        }
        _ => {
            keys.insert(path.to_owned().leak());
        }
    }
}

#[derive(Clone, Debug)]
struct Toy;

#[derive(PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ToyConfig {
    name: String,
    #[serde(with = "humantime_serde")]
    wait: Duration,
    count: u64,
    place: Option<String>,
    peers: BTreeMap<String, String>,
    inner: Inner,
}

#[derive(PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Inner {
    depth: u64,
}

#[derive(PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    beside: String,
}

impl Default for ToyConfig {
    fn default() -> Self {
        Self {
            name: "toy".to_owned(),
            wait: Duration::from_secs(90),
            count: 1,
            place: None,
            peers: BTreeMap::new(),
            inner: Inner::default(),
        }
    }
}

impl Process for Toy {
    type Config = ToyConfig;
    type Extra = Beside;
    const KEYS: &'static [Key] = &[
        Key::new("name", Kind::Text, "NAME", ""),
        Key::new("wait", Kind::Time, "TIME", ""),
        Key::new("count", Kind::Number, "N", ""),
        Key::new("place", Kind::Text, "PLACE", ""),
        Key::new("peers", Kind::Map, "LIST", ""),
        Key::new("beside", Kind::Text, "TEXT", ""),
        Key::new("inner.depth", Kind::Number, "N", ""),
    ];
}

fn effective(file: &str, line: &[&str]) -> Result<Effective<Toy>, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.toml");
    std::fs::write(&path, file).unwrap();
    let line = [&["--config", path.to_str().unwrap()], line].concat();
    Layers::merge(&parse::<Toy>(&line))?.extract()
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "wait = \"2s\"\ncount = 7\nbeside = \"b\"\n[inner]\ndepth = 3";
    let effective = effective(file, &["--count", "8", "--name", "2024"]).unwrap();
    let config = &effective.config;
    assert_eq!(
        (config.count, config.wait, config.inner.depth),
        (8, Duration::from_secs(2), 3)
    );
    assert_eq!(
        (config.name.as_str(), effective.extra.beside.as_str()),
        ("2024", "b")
    );
    assert_eq!(effective.source("count"), "flag --count");
    assert_eq!(effective.source("place"), "default");
    assert!(effective.source("inner.depth").ends_with("toy.toml"));
}

#[test]
fn what_is_dumped_reads_back_as_the_same() {
    let line = [
        "--place",
        "a \"b\"",
        "--inner-depth",
        "4",
        "--peers",
        "a=h:1,b=h:2",
    ];
    let first = effective("beside = \"x\"", &line).unwrap();
    let text = first.dump().unwrap();
    let second = effective(&text, &[]).unwrap();
    assert_eq!(
        (second.config, second.extra),
        (first.config, first.extra),
        "{text}"
    );
    let empty = effective("", &[]).unwrap().dump().unwrap();
    assert!(
        empty.contains("# place is not set") && empty.contains("wait = \"1m 30s\""),
        "{empty}"
    );
}

#[test]
fn unknown_keys_are_refused_with_their_name_and_place() {
    for (file, key) in [
        ("coumt = 1", "`coumt`"),
        ("[inner]\ndeep = 1", "`inner.deep`"),
    ] {
        let failure = effective(file, &[]).unwrap_err();
        assert!(failure.message.contains(key), "{}", failure.message);
        assert!(failure.message.contains("toy.toml"), "{}", failure.message);
        assert!(failure.next.is_some());
    }
}

#[test]
fn wrong_values_are_refused_with_their_source() {
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("count = \"many\"", &[], &["toy.toml", "`count`", "many"]),
        ("wait = 5", &[], &["toy.toml", "`wait`"]),
        ("count = ", &[], &["toy.toml", "line 1"]),
        (
            "",
            &["--count", "many"],
            &["flag --count", "many", "a number"],
        ),
        ("", &["--wait", "5"], &["flag --wait", "unit"]),
    ];
    for (file, line, words) in cases {
        let message = effective(file, line).unwrap_err().message;
        for word in words {
            assert!(message.contains(word), "{message}: {word}");
        }
    }
}

#[test]
fn a_refusal_of_the_process_names_where_the_value_came_from() {
    let effective = effective("count = 0", &[]).unwrap();
    let message = effective.refusal("count must be at least 1").message;
    assert!(message.contains("toy.toml"), "{message}");
}

#[test]
fn a_missing_file_is_an_error() {
    let failure = Layers::merge(&parse::<Toy>(&["--config", "/no/such.toml"])).unwrap_err();
    assert!(failure.message.contains("/no/such.toml"));
}
