//! Keys and values as text: how they are read and how they are shown. What is shown can be read back.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;
use triumvir_client::Value;

/// A value: bytes or an integer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Literal {
    /// Opaque bytes.
    Bytes(Vec<u8>),
    /// A number that `add` can change.
    Integer(i64),
}

impl Literal {
    /// Reads what stands behind `:=`: an integer, `"text"` as in JSON, or `0x` and hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('"') {
            return match serde_json::from_str::<String>(text) {
                Ok(text) => Ok(Self::Bytes(text.into_bytes())),
                Err(error) => Err(format!("`{text}` is no text in quotes: {error}")),
            };
        }
        if let Some(digits) = text.strip_prefix("0x") {
            return hexadecimal(digits)
                .map(Self::Bytes)
                .ok_or_else(|| format!("`{text}` is not an even number of hexadecimal digits"));
        }
        text.parse().map(Self::Integer).map_err(|_| {
            format!("`{text}` is neither an integer of 64 bits, nor \"text\", nor 0x…")
        })
    }
}

/// Reads pairs of hexadecimal digits.
pub(crate) fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Reads a key: `\\`, `\=`, `\:` and `\xNN` are escapes, everything else stands for itself.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = match after.bytes().next() {
            Some(byte @ (b'\\' | b'=' | b':')) => (byte, 1),
            Some(b'x') => {
                let byte = after
                    .get(1..3)
                    .and_then(hexadecimal)
                    .and_then(|bytes| bytes.first().copied());
                (byte.ok_or("`\\x` takes two hexadecimal digits")?, 3)
            }
            _ => {
                return Err(
                    "a backslash in a key begins `\\\\`, `\\=`, `\\:` or `\\xNN`".to_owned(),
                );
            }
        };
        bytes.push(byte);
        rest = &after[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// A key as [`unescape`] reads it.
pub(crate) fn key_text(key: &[u8]) -> String {
    let escape_byte = |byte: u8| format!("\\x{byte:02x}");
    let Ok(text) = std::str::from_utf8(key) else {
        let shown = key.iter().map(|&byte| match byte {
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            byte => escape_byte(byte),
        });
        return shown.collect();
    };
    let shown = text.chars().map(|letter| match letter {
        '\\' => "\\\\".to_owned(),
        '=' => "\\=".to_owned(),
        letter if letter.is_control() => letter
            .to_string()
            .bytes()
            .map(escape_byte)
            .collect::<String>(),
        letter => letter.to_string(),
    });
    shown.collect()
}

/// A key in JSON: text, or `{"hex": …}` where it is none.
pub(crate) fn key_json(key: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(key) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": Hexadecimal(key).to_string() }),
    }
}

impl From<Value> for Literal {
    fn from(value: Value) -> Self {
        match value {
            Value::Bytes(bytes) => Self::Bytes(bytes.into()),
            Value::Integer(number) => Self::Integer(number),
        }
    }
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Self {
        match literal {
            Literal::Bytes(bytes) => Self::from(bytes),
            Literal::Integer(number) => Self::Integer(number),
        }
    }
}

/// As behind `:=`.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => f.write_str(&json!(text).to_string()),
                Err(_) => write!(f, "0x{}", Hexadecimal(bytes)),
            },
        }
    }
}

/// A number, text, or `{"hex": …}`, as in a file.
impl Serialize for Literal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Bytes(bytes) => key_json(bytes).serialize(serializer),
        }
    }
}

struct Hexadecimal<'a>(&'a [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_shown_alike() {
        let cases = [
            ("0", Literal::Integer(0)),
            ("-9223372036854775808", Literal::Integer(i64::MIN)),
            ("\"100\"", Literal::Bytes(b"100".to_vec())),
            ("\"a\\nb\"", Literal::Bytes(b"a\nb".to_vec())),
            ("0x00ff", Literal::Bytes(vec![0, 255])),
        ];
        for (text, literal) in cases {
            assert_eq!(Literal::parse(text).as_ref(), Ok(&literal));
            assert_eq!(literal.to_string(), text);
        }
        for bad in [
            "",
            "ten",
            "1.5",
            "0x0",
            "0xgg",
            "\"open",
            "9223372036854775808",
            "0x+1",
        ] {
            assert!(Literal::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_survive_being_shown() {
        let keys: [&[u8]; 7] = [
            b"sku",
            b"a=b:c",
            b"back\\slash",
            "größe".as_bytes(),
            b"\x00\xff",
            b"a\nb",
            b"\xff\\",
        ];
        for key in keys {
            assert_eq!(
                unescape(&key_text(key)).as_deref(),
                Ok(key),
                "{}",
                key_text(key)
            );
        }
    }

    #[test]
    fn escapes_of_keys_are_checked() {
        assert_eq!(unescape("a\\=b\\:\\x41").as_deref(), Ok(&b"a=b:A"[..]));
        for bad in ["\\", "\\n", "\\x4", "\\xzz", "\\xé"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_tells_text_numbers_and_bytes_apart() {
        assert_eq!(json!(Literal::Integer(-2)), json!(-2));
        assert_eq!(json!(Literal::Bytes(b"-2".to_vec())), json!("-2"));
        assert_eq!(json!(Literal::Bytes(vec![255])), json!({ "hex": "ff" }));
    }
}
