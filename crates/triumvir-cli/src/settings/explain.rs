//! From a problem of the merge to a sentence that names the key and where it was set.

use figment::Metadata;
use figment::error::Kind;

use super::Process;
use super::flags::place;
use super::source::Source;
use crate::failure::Failure;

/// The source behind a merged value.
pub(super) fn origin<P: Process>(metadata: &Metadata, path: &str) -> String {
    if let Some(file) = metadata
        .source
        .as_ref()
        .and_then(|source| source.file_path())
    {
        return format!("file {}", file.display());
    }
    let key = P::KEYS.iter().find(|key| key.path == path);
    let source = [Source::Environment, Source::Flag]
        .into_iter()
        .find(|source| source.name() == metadata.name);
    match (key, source) {
        (Some(key), Some(source)) => place(key, source),
        _ => metadata.name.to_string(),
    }
}

/// The first problem.
pub(super) fn explain<P: Process>(error: figment::Error) -> Failure {
    let Some(first) = error.into_iter().next() else {
        return Failure::usage("the configuration cannot be read");
    };
    let path = first.path.join(".");
    let origin = first
        .metadata
        .as_ref()
        .map(|metadata| origin::<P>(metadata, &path));
    let place = origin
        .map(|origin| format!("{origin}: "))
        .unwrap_or_default();
    match &first.kind {
        Kind::UnknownField(name, _) => {
            let section = path.rsplit_once('.').map_or("", |(section, _)| section);
            let known = P::KEYS.iter().map(|key| key.path).filter(|known| {
                let part = known.rsplit_once('.').map_or("", |(section, _)| section);
                part == section
            });
            let known = known.collect::<Vec<_>>().join(", ");
            let path = if path.is_empty() { name } else { &path };
            Failure::usage(format!("{place}unknown key `{path}`"))
                .next(format!("keys that exist there: {known}"))
        }
        kind => Failure::usage(format!("{place}`{path}`: {kind}")),
    }
}
