//! The settings in force as a TOML file that has the same effect.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Effective, Process};

/// Where the comments begin, if the settings leave room.
const COMMENT_COLUMN: usize = 44;

impl<P: Process> Effective<P> {
    /// Every key with its value and its source. A key without a value stands there as a comment.
    ///
    /// # Errors
    ///
    /// A value that JSON or TOML cannot hold.
    pub(crate) fn dump(&self) -> anyhow::Result<String> {
        let mut tree = serde_json::to_value(&self.config)?;
        let extra = serde_json::to_value(&self.extra)?;
        if let (Value::Object(tree), Value::Object(extra)) = (&mut tree, extra) {
            tree.extend(extra);
        }
        let (mut plain, mut sections) = (String::new(), String::new());
        let mut section = "";
        for key in P::KEYS {
            let (part, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            let text = if part.is_empty() {
                &mut plain
            } else {
                &mut sections
            };
            if !part.is_empty() && part != section {
                writeln!(text, "\n[{part}]")?;
                section = part;
            }
            let pointer = format!("/{}", key.path.replace('.', "/"));
            match tree.pointer(&pointer) {
                None | Some(Value::Null) => writeln!(text, "# {name} is not set")?,
                Some(value) => {
                    let setting = format!("{name} = {}", toml::Value::try_from(value)?);
                    let source = self.source(key.path);
                    writeln!(text, "{setting:<COMMENT_COLUMN$} # {source}")?;
                }
            }
        }
        Ok(plain + &sections)
    }
}
