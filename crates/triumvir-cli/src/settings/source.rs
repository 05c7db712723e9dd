//! Where a setting came from, and providers that carry that knowledge through the merge.

use std::fmt;

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde::Serialize;

/// A place where a setting can be set, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// What holds if nothing is set.
    Default,
    /// What follows from other settings.
    Derived,
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl Source {
    /// As it stands in the metadata of a merged value.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Derived => "derived",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Settings from one source.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    source: Source,
    dict: Dict,
}

impl Layer {
    /// Nothing from `source`.
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            dict: Dict::new(),
        }
    }

    /// Sets the value at `path`, sections separated by dots.
    pub(crate) fn set(&mut self, path: &str, value: Value) {
        let mut dict = &mut self.dict;
        let mut rest = path;
        while let Some((section, inner)) = rest.split_once('.') {
            let entry = dict.entry(section.to_owned());
            let value = entry.or_insert_with(|| Value::from(Dict::new()));
            if !matches!(value, Value::Dict(..)) {
                *value = Value::from(Dict::new());
            }
            let Value::Dict(_, inner_dict) = value else {
                return;
            };
            dict = inner_dict;
            rest = inner;
        }
        dict.insert(rest.to_owned(), value);
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.dict.clone())]))
    }
}

/// The part of another provider whose top-level keys satisfy a condition.
pub(crate) struct Only<P, F> {
    /// The provider.
    pub(crate) provider: P,
    /// The condition.
    pub(crate) keep: F,
}

impl<P: Provider, F: Fn(&str) -> bool> Provider for Only<P, F> {
    fn metadata(&self) -> Metadata {
        self.provider.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut data = self.provider.data()?;
        for dict in data.values_mut() {
            dict.retain(|key, _| (self.keep)(key));
        }
        Ok(data)
    }
}

/// What a type says of itself by its default.
pub(crate) struct Defaults<T>(pub(crate) T);

impl<T: Serialize> Provider for Defaults<T> {
    fn metadata(&self) -> Metadata {
        Metadata::named(Source::Default.name())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Serialized::defaults(&self.0).data()
    }
}
