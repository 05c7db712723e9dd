//! The merge: defaults, then what follows from other settings, then file, environment and flags.

use std::marker::PhantomData;
use std::path::Path;

use figment::Figment;
use figment::error::Kind as Problem;
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::flags::place;
use super::source::{Layer, Only, Source};
use super::{Process, Settings};
use crate::failure::Failure;
use crate::logging::LogSettings;

/// The merged settings of a process, not yet checked.
pub(crate) struct Layers<P> {
    figment: Figment,
    log: Figment,
    process: PhantomData<P>,
}

/// The settings in force.
#[derive(Debug)]
pub(crate) struct Effective<P, C> {
    /// Those of the process.
    pub(crate) config: C,
    /// Those of its log.
    pub(crate) log: LogSettings,
    pub(super) figment: Figment,
    pub(super) process: PhantomData<P>,
}

fn is_log(key: &str) -> bool {
    matches!(key, "log" | "log_format")
}

fn is_not_log(key: &str) -> bool {
    !is_log(key)
}

impl<P: Process> Layers<P> {
    /// Merges everything over `defaults`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or a text cannot.
    pub(crate) fn merge<C: Serialize>(settings: &Settings<P>, defaults: C) -> Result<Self, Failure> {
        let [environment, flags] = settings.layers()?;
        let mut figment = Figment::from(Named(Serialized::defaults(defaults)));
        let mut log = Figment::from(Named(Serialized::defaults(LogSettings::default())));
        if let Some(path) = &settings.file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("cannot read the file {}: {error}", path.display()))
            })?;
            check_toml(path, &text)?;
            let file = || Toml::file_exact(path);
            figment = figment.merge(Only { provider: file(), keep: is_not_log });
            log = log.merge(Only { provider: file(), keep: is_log });
        }
        for layer in [environment, flags] {
            figment = figment.merge(Only { provider: layer.clone(), keep: is_not_log });
            log = log.merge(Only { provider: layer, keep: is_log });
        }
        Ok(Self { figment, log, process: PhantomData })
    }

    /// Whether somebody has set the key.
    pub(crate) fn is_set(&self, path: &str) -> bool {
        let source = self.figment.find_metadata(path);
        source.is_some_and(|source| {
            ![Source::Default.name(), Source::Derived.name()].contains(&&*source.name)
        })
    }

    /// The text at `path`.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        self.figment.find_value(path).ok()?.into_string()
    }

    /// The number at `path`.
    pub(crate) fn number(&self, path: &str) -> Option<u128> {
        self.figment.find_value(path).ok()?.to_u128()
    }

    /// Sets a key that nobody has set to what follows from others.
    #[must_use]
    pub(crate) fn derive(mut self, path: &str, value: impl Into<Value>) -> Self {
        if !self.is_set(path) {
            let mut layer = Layer::new(Source::Derived);
            layer.set(path, value.into());
            self.figment = self.figment.merge(layer);
        }
        self
    }

    /// The settings in force.
    ///
    /// # Errors
    ///
    /// An unknown key or a value of the wrong kind; the message names key and source.
    pub(crate) fn extract<C: DeserializeOwned>(self) -> Result<Effective<P, C>, Failure> {
        let config = self.figment.extract().map_err(|error| explain::<P>(error))?;
        let log = self.log.extract().map_err(|error| explain::<P>(error))?;
        let figment = self.figment.merge(self.log);
        Ok(Effective { config, log, figment, process: PhantomData })
    }
}

impl<P: Process, C> Effective<P, C> {
    /// Where the value at `path` came from.
    pub(crate) fn source(&self, path: &str) -> String {
        match self.figment.find_metadata(path) {
            Some(metadata) => origin::<P>(metadata, path),
            None => Source::Default.to_string(),
        }
    }

    /// A refusal by the process itself, with the source of the key that it names.
    pub(crate) fn refusal(&self, reason: &str) -> Failure {
        let named = P::KEYS.iter().filter(|key| reason.contains(key.path));
        match named.max_by_key(|key| key.path.len()) {
            Some(key) => {
                Failure::usage(format!("{reason} ({}: {})", key.path, self.source(key.path)))
            }
            None => Failure::usage(reason),
        }
    }
}

/// `Serialized`, under the name of our own source.
struct Named<T>(Serialized<T>);

impl<T: Serialize> figment::Provider for Named<T> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(Source::Default.name())
    }

    fn data(
        &self,
    ) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, figment::Error> {
        self.0.data()
    }
}

/// A file that is no TOML, with the place in it.
fn check_toml(path: &Path, text: &str) -> Result<(), Failure> {
    match toml::from_str::<toml::Table>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::usage(format!("file {}: {error}", path.display()))),
    }
}

/// The source behind a merged value, for a person.
fn origin<P: Process>(metadata: &figment::Metadata, path: &str) -> String {
    if let Some(file) = metadata.source.as_ref().and_then(|source| source.file_path()) {
        return format!("file {}", file.display());
    }
    let key = P::KEYS.iter().find(|key| key.path == path);
    match (key, &*metadata.name) {
        (Some(key), "environment") => place(key, Source::Environment),
        (Some(key), "flag") => place(key, Source::Flag),
        (_, name) => name.to_owned(),
    }
}

/// The first problem that the merge found.
fn explain<P: Process>(error: figment::Error) -> Failure {
    let Some(first) = error.into_iter().next() else {
        return Failure::usage("the configuration cannot be read");
    };
    let path = first.path.join(".");
    let origin = first.metadata.as_ref().map(|metadata| origin::<P>(metadata, &path));
    let place = origin.map(|origin| format!("{origin}: ")).unwrap_or_default();
    match &first.kind {
        Problem::UnknownField(name, expected) => {
            let section = match path.strip_suffix(name.as_str()) {
                Some(section) => section.to_owned(),
                None if path.is_empty() => String::new(),
                None => format!("{path}."),
            };
            let known = expected.iter().map(|known| format!("{section}{known}"));
            let known: Vec<_> = known.collect();
            Failure::usage(format!("{place}unknown key `{section}{name}`"))
                .next(format!("keys that exist: {}", known.join(", ")))
        }
        kind => Failure::usage(format!("{place}`{path}`: {kind}")),
    }
}
