//! A transaction as a JSON document, for `commit --file`.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::literal::hexadecimal;
use super::{Literal, Operation, Part};

/// The commit protocol, as it is written in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileMode {
    /// Not blocked by the loss of all coordinators.
    ThreePhase,
    /// Quicker by one round.
    TwoPhase,
}

/// A transaction.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// The transaction's id, a UUIDv7.
    pub(crate) id: Option<String>,
    /// The commit protocol.
    pub(crate) mode: Option<FileMode>,
    parts: Vec<FilePart>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePart {
    at: String,
    operations: Vec<FileOperation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum FileOperation {
    Put(PutFields),
    Delete(KeyFields),
    Get(KeyFields),
    Add(AddFields),
    Expect(ExpectFields),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PutFields {
    key: Bytes,
    value: FileValue,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFields {
    key: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddFields {
    key: Bytes,
    delta: i64,
    min: Option<i64>,
    max: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFields {
    key: Bytes,
    // Not an `Option` of its own: `null` has to be written.
    #[serde(deserialize_with = "Option::deserialize")]
    value: Option<FileValue>,
}

/// A key: text, or `{"hex": …}`.
#[derive(Debug)]
struct Bytes(Vec<u8>);

/// A value: text, an integer, or `{"hex": …}`.
#[derive(Debug)]
struct FileValue(Literal);

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// Line, column and what is wrong there.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The parts, in the order of the document.
    pub(crate) fn into_parts(self) -> Vec<Part> {
        let parts = self.parts.into_iter().map(|part| Part {
            participant: part.at,
            operations: part.operations.into_iter().map(Operation::from).collect(),
        });
        Part::join(parts)
    }
}

impl From<FileOperation> for Operation {
    fn from(operation: FileOperation) -> Self {
        match operation {
            FileOperation::Put(PutFields { key, value }) => Self::Put {
                key: key.0,
                value: value.0,
            },
            FileOperation::Delete(KeyFields { key }) => Self::Delete { key: key.0 },
            FileOperation::Get(KeyFields { key }) => Self::Get { key: key.0 },
            FileOperation::Add(AddFields {
                key,
                delta,
                min,
                max,
            }) => Self::Add {
                key: key.0,
                delta,
                min,
                max,
            },
            FileOperation::Expect(ExpectFields { key, value }) => Self::Expect {
                key: key.0,
                value: value.map(|value| value.0),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hex {
    hex: String,
}

fn hex<'de, A: de::MapAccess<'de>>(map: A) -> Result<Vec<u8>, A::Error> {
    let Hex { hex } = Hex::deserialize(de::value::MapAccessDeserializer::new(map))?;
    hexadecimal(&hex).ok_or_else(|| de::Error::custom("not an even number of hexadecimal digits"))
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text or {\"hex\": …}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Bytes, A::Error> {
        hex(map).map(Bytes)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = FileValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("text, an integer of 64 bits, or {\"hex\": …}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FileValue, E> {
        Ok(FileValue(Literal::Bytes(text.as_bytes().to_vec())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<FileValue, E> {
        Ok(FileValue(Literal::Integer(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<FileValue, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<FileValue, A::Error> {
        hex(map).map(Literal::Bytes).map(FileValue)
    }
}

impl<'de> Deserialize<'de> for FileValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_operation;

    #[test]
    fn a_file_says_the_same_as_the_command_line() {
        let text = r#"{
            "mode": "two-phase",
            "parts": [
                {"at": "orders", "operations": [
                    {"put": {"key": "42", "value": "hello"}},
                    {"put": {"key": {"hex": "00ff"}, "value": {"hex": "ff"}}}
                ]},
                {"at": "inventory", "operations": [
                    {"add": {"key": "sku", "delta": -2, "min": 0}},
                    {"get": {"key": "sku"}},
                    {"delete": {"key": "old"}},
                    {"expect": {"key": "x", "value": null}},
                    {"expect": {"key": "n", "value": 7}}
                ]}
            ]
        }"#;
        let document = Document::parse(text).unwrap();
        assert_eq!(document.mode, Some(FileMode::TwoPhase));
        let parts = document.into_parts();
        let read = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| parse_operation(text).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(parts[0].participant, "orders");
        assert_eq!(
            parts[0].operations,
            read(&["put:42=hello", "put:\\x00\\xff:=0xff"])
        );
        let inventory = [
            "add:sku=-2,min=0",
            "get:sku",
            "delete:old",
            "expect:x:=absent",
            "expect:n:=7",
        ];
        assert_eq!(parts[1].operations, read(&inventory));
    }

    #[test]
    fn errors_say_where_and_what() {
        let part = |operation: &str| {
            format!("{{\"parts\": [{{\"at\": \"a\", \"operations\": [\n{operation}]}}]}}")
        };
        let cases = [
            ("{}".to_owned(), "parts"),
            ("{\"parts\": [], \"mod\": 1}".to_owned(), "mod"),
            (part("{\"set\": {\"key\": \"k\"}}"), "set"),
            (part("{\"put\": {\"key\": \"k\", \"value\": 1.5}}"), "1.5"),
            (
                part("{\"put\": {\"key\": \"k\", \"value\": 9223372036854775808}}"),
                "64 bits",
            ),
            (part("{\"put\": {\"key\": 7, \"value\": 1}}"), "hex"),
            (
                part("{\"put\": {\"key\": {\"hex\": \"0\"}, \"value\": 1}}"),
                "even number",
            ),
            (
                part("{\"add\": {\"key\": \"k\", \"delta\": 1, \"mini\": 0}}"),
                "mini",
            ),
            (part("{\"expect\": {\"key\": \"k\"}}"), "value"),
        ];
        for (text, word) in cases {
            let error = Document::parse(&text).unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("line"),
                "{text}: {error}"
            );
        }
    }
}
