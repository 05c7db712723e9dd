//! The settings in force as a TOML file that has the same effect.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{Effective, Process};

impl<P: Process, C: Serialize> Effective<P, C> {
    /// Every key with its value and its source. A key without a value stands there as a comment.
    ///
    /// # Errors
    ///
    /// A value that JSON or TOML cannot hold.
    pub(crate) fn dump(&self) -> anyhow::Result<String> {
        let mut tree = serde_json::to_value(&self.config)?;
        let log = serde_json::to_value(&self.log)?;
        if let (Value::Object(tree), Value::Object(log)) = (&mut tree, log) {
            tree.extend(log);
        }
        let (mut plain, mut sections) = (String::new(), String::new());
        let mut section = "";
        for key in P::KEYS {
            let pointer = format!("/{}", key.path.replace('.', "/"));
            let value = tree.pointer(&pointer).unwrap_or(&Value::Null);
            let (part, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            let text = if part.is_empty() { &mut plain } else { &mut sections };
            if part != section && !part.is_empty() {
                writeln!(text, "\n[{part}]")?;
                section = part;
            }
            match value {
                Value::Null => writeln!(text, "# {name} is not set")?,
                value => {
                    let value = toml::Value::try_from(value)?;
                    writeln!(text, "{:<44} # {}", format!("{name} = {value}"), self.source(key.path))?;
                }
            }
        }
        Ok(plain + &sections)
    }
}
