//! How keys and values appear in messages for people: bounded, and safe to print.

use std::fmt;

use crate::Value;

/// How many characters (of text) or bytes (of anything else) are shown.
const SHOWN_MAX: usize = 64;

/// Bytes as quoted text if they are text without control characters, else in hexadecimal; the rest
/// of long ones is left out.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if !text.chars().any(char::is_control) => {
                match text.char_indices().nth(SHOWN_MAX) {
                    None => write!(f, "{text:?}"),
                    Some((end, _)) => write!(f, "{:?}…", &text[..end]),
                }
            }
            _ => {
                f.write_str("0x")?;
                self.0
                    .iter()
                    .take(SHOWN_MAX)
                    .try_for_each(|byte| write!(f, "{byte:02x}"))?;
                if self.0.len() > SHOWN_MAX {
                    f.write_str("…")
                } else {
                    Ok(())
                }
            }
        }
    }
}

/// What stands under a key, or that nothing does.
pub(crate) struct Found<'a>(pub(crate) &'a Option<Value>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => fmt::Display::fmt(value, f),
            None => f.write_str("absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_bytes_are_hexadecimal() {
        assert_eq!(Excerpt(b"account/alice").to_string(), "\"account/alice\"");
        assert_eq!(Excerpt("größe".as_bytes()).to_string(), "\"größe\"");
        assert_eq!(Excerpt(b"").to_string(), "\"\"");
        assert_eq!(Excerpt(&[0, 255]).to_string(), "0x00ff");
        assert_eq!(Excerpt(b"a\nb").to_string(), "0x610a62");
    }

    #[test]
    fn long_ones_are_cut() {
        let text = "ä".repeat(65);
        assert_eq!(
            Excerpt(text.as_bytes()).to_string(),
            format!("\"{}\"…", "ä".repeat(64))
        );
        assert_eq!(
            Excerpt(&[1; 65]).to_string(),
            format!("0x{}…", "01".repeat(64))
        );
        assert_eq!(
            Excerpt(&[1; 64]).to_string(),
            format!("0x{}", "01".repeat(64))
        );
    }
}
