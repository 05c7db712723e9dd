//! One setting of a process: its name in each of the places where it can be set.

use std::net::SocketAddr;
use std::str::FromStr;

use figment::value::{Dict, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How the text of a flag or a variable is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// As it is.
    Text,
    /// A file or a folder.
    Path,
    /// A count or a size.
    Number,
    /// A time with its unit, such as `500ms`.
    Time,
    /// An address of this machine, `IP:PORT`.
    Listen,
    /// true or false.
    Switch,
    /// Several texts with commas between them.
    List,
    /// Several NAME=TEXT with commas between them.
    Map,
}

/// A setting: `--raft-heartbeat`, `TRIUMVIR_RAFT_HEARTBEAT`, and `heartbeat` under `[raft]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its place in the configuration file, sections separated by dots.
    pub(crate) path: &'static str,
    /// What it stands for in the help.
    pub(crate) value: &'static str,
    /// How it is read.
    pub(crate) kind: Kind,
    /// Another name of the flag.
    pub(crate) alias: Option<&'static str>,
    /// One sentence for the help.
    pub(crate) help: &'static str,
}

/// A process that has settings.
pub(crate) trait Process: Clone + Send + Sync + 'static {
    /// The settings of the process itself, in its own crate.
    type Config: Default + Serialize + DeserializeOwned;
    /// Settings that stand beside them in the same file: those of the log, and more.
    type Extra: Default + Serialize + DeserializeOwned;
    /// Every key of both.
    const KEYS: &'static [Key];
}

impl Key {
    /// A setting.
    pub(crate) const fn new(
        path: &'static str,
        kind: Kind,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            path,
            value,
            kind,
            alias: None,
            help,
        }
    }

    /// With another name of the flag.
    #[must_use]
    pub(crate) const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// The flag without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("TRIUMVIR_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Reads the text of a flag or a variable.
    ///
    /// # Errors
    ///
    /// What was expected.
    pub(crate) fn read(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            Kind::Text | Kind::Path => Ok(Value::from(text)),
            Kind::Number => parse::<u64>(text, "a number").map(Value::from),
            Kind::Switch => parse::<bool>(text, "true or false").map(Value::from),
            Kind::Listen => {
                parse::<SocketAddr>(text, "an address IP:PORT").map(|_| Value::from(text))
            }
            Kind::Time => match humantime_serde::re::humantime::parse_duration(text) {
                Ok(_) => Ok(Value::from(text)),
                Err(_) => Err("a time with its unit, such as 500ms, 2s or 1h".to_owned()),
            },
            Kind::List => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                Ok(Value::from(parts.map(Value::from).collect::<Vec<_>>()))
            }
            Kind::Map => {
                let mut map = Dict::new();
                for part in text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                {
                    let (name, value) = part
                        .split_once('=')
                        .ok_or("NAME=VALUE, with commas between them")?;
                    map.insert(name.trim().to_owned(), Value::from(value.trim()));
                }
                Ok(Value::from(map))
            }
        }
    }
}

fn parse<T: FromStr>(text: &str, expected: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Value, String> {
        Key::new("a.b_c", kind, "X", "").read(text)
    }

    #[test]
    fn one_name_gives_the_others() {
        let key = Key::new("raft.election_timeout_min", Kind::Time, "TIME", "");
        assert_eq!(key.flag(), "raft-election-timeout-min");
        assert_eq!(key.variable(), "TRIUMVIR_RAFT_ELECTION_TIMEOUT_MIN");
    }

    #[test]
    fn text_stays_text_even_if_it_looks_like_something_else() {
        assert_eq!(read(Kind::Text, "2024").unwrap().as_str(), Some("2024"));
        assert_eq!(read(Kind::Number, "2024").unwrap().to_u128(), Some(2024));
        assert_eq!(
            read(Kind::List, "a:1, b:2,")
                .unwrap()
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            read(Kind::Map, "a=h:1,b=h:2")
                .unwrap()
                .as_dict()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn rubbish_is_refused_with_what_was_expected() {
        let cases = [
            (Kind::Number, "-1", "number"),
            (Kind::Time, "500", "unit"),
            (Kind::Listen, "localhost:1", "IP:PORT"),
            (Kind::Switch, "yes", "true or false"),
            (Kind::Map, "a", "NAME=VALUE"),
        ];
        for (kind, text, word) in cases {
            let error = read(kind, text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
