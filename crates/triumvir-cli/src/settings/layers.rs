//! The merge: defaults, then what follows from other settings, then file, environment and flags.

use std::marker::PhantomData;
use std::path::Path;

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Metadata, Provider};

use super::explain::{explain, origin};
use super::source::{Defaults, Layer, Only, Source};
use super::{Process, Settings};
use crate::failure::Failure;

/// The merged settings of a process, not yet checked.
#[derive(Debug)]
pub(crate) struct Layers<P> {
    merged: Merged,
    process: PhantomData<P>,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Effective<P: Process> {
    /// Those of the process.
    pub(crate) config: P::Config,
    /// Those beside them.
    pub(crate) extra: P::Extra,
    merged: Merged,
}

/// Two trees, because each of the two types refuses every key that is not its own.
#[derive(Debug)]
struct Merged {
    /// The top-level keys of the second tree.
    extra_keys: Vec<String>,
    config: Figment,
    extra: Figment,
}

impl Merged {
    fn new<P: Process>() -> Result<Self, Failure> {
        let (config, extra) = (
            Defaults(P::Config::default()),
            Defaults(P::Extra::default()),
        );
        let extra_keys = extra
            .data()
            .map_err(explain::<P>)?
            .into_values()
            .flat_map(Dict::into_keys)
            .collect();
        Ok(Self {
            extra_keys,
            config: Figment::from(config),
            extra: Figment::from(extra),
        })
    }

    fn merge(mut self, layer: impl Provider + Clone) -> Self {
        let keys = &self.extra_keys;
        let is_extra = |key: &str| keys.iter().any(|known| known == key);
        self.config = self.config.merge(Only {
            provider: layer.clone(),
            keep: |key: &str| !is_extra(key),
        });
        self.extra = self.extra.merge(Only {
            provider: layer,
            keep: is_extra,
        });
        self
    }

    fn metadata(&self, path: &str) -> Option<&Metadata> {
        self.config
            .find_metadata(path)
            .or_else(|| self.extra.find_metadata(path))
    }
}

impl<P: Process> Layers<P> {
    /// Merges what is given over the defaults.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a text cannot.
    pub(crate) fn merge(settings: &Settings<P>) -> Result<Self, Failure> {
        let [environment, flags] = settings.layers()?;
        let mut merged = Merged::new::<P>()?;
        if let Some(path) = &settings.file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("cannot read the file {}: {error}", path.display()))
            })?;
            check_toml(path, &text)?;
            merged = merged.merge(&Toml::file_exact(path));
        }
        let merged = merged.merge(environment).merge(flags);
        Ok(Self {
            merged,
            process: PhantomData,
        })
    }

    /// Whether somebody has set the key.
    pub(crate) fn is_set(&self, path: &str) -> bool {
        let own = [Source::Default.name(), Source::Derived.name()];
        self.merged
            .metadata(path)
            .is_some_and(|found| !own.contains(&&*found.name))
    }

    /// The value at `path`, if it can be read as a `T`.
    pub(crate) fn value<T: serde::de::DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.merged.config.extract_inner(path).ok()
    }

    /// Sets a key that nobody has set to what follows from others.
    #[must_use]
    pub(crate) fn derive(mut self, path: &str, value: impl Into<Value>) -> Self {
        if !self.is_set(path) {
            let mut layer = Layer::new(Source::Derived);
            layer.set(path, value.into());
            self.merged = self.merged.merge(layer);
        }
        self
    }

    /// The settings in force.
    ///
    /// # Errors
    ///
    /// An unknown key or a value of the wrong kind; the message names key and source.
    pub(crate) fn extract(self) -> Result<Effective<P>, Failure> {
        let merged = self.merged;
        let config = merged.config.extract().map_err(explain::<P>)?;
        let extra = merged.extra.extract().map_err(explain::<P>)?;
        Ok(Effective {
            config,
            extra,
            merged,
        })
    }
}

impl<P: Process> Effective<P> {
    /// Where the value at `path` came from.
    pub(crate) fn source(&self, path: &str) -> String {
        match self.merged.metadata(path) {
            Some(metadata) => origin::<P>(metadata, path),
            None => Source::Default.to_string(),
        }
    }

    /// A refusal by the process itself, with the source of the key that it names.
    pub(crate) fn refusal(&self, reason: &str) -> Failure {
        let named = P::KEYS.iter().filter(|key| reason.contains(key.path));
        match named.max_by_key(|key| key.path.len()) {
            Some(key) => Failure::usage(format!(
                "{reason} ({}: {})",
                key.path,
                self.source(key.path)
            ))
            .next(format!("set it by --{} or {}", key.flag(), key.variable())),
            None => Failure::usage(reason),
        }
    }
}

/// A file that is no TOML, with the place in it.
fn check_toml(path: &Path, text: &str) -> Result<(), Failure> {
    match toml::from_str::<toml::Table>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!("file {}: {error}", path.display()))),
    }
}
