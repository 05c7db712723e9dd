//! The syntax of one operation on the command line.
//!
//! `VERB:KEY`, and for some verbs `=` or `:=` with a value behind it. Text behind `=` is never
//! interpreted, so that the content of a shell variable cannot change what is meant.

use super::{Literal, Operation, unescape};

/// The syntax, for `--help`.
pub(crate) const HELP: &str = r#"Operations:
  put:KEY=TEXT               set KEY to TEXT, taken as it is
  put:KEY:=LITERAL           set KEY to an integer or to bytes
  delete:KEY                 remove KEY, which need not be there
  get:KEY                    answer with the value
  add:KEY=N[,min=N][,max=N]  add N to an integer (absent: 0), answer with the sum;
                             abort if the sum is below min or above max
  expect:KEY=TEXT            abort unless KEY is TEXT
  expect:KEY:=LITERAL        abort unless KEY is the literal, or is absent

  KEY ends at the first = or :=. In a key, \= \: \\ and \xNN stand for the
  character or the byte; in TEXT a backslash is a backslash.
  LITERAL is an integer (12, -3), "text" as in JSON, bytes (0x00ff), or, for
  expect, the word absent. `put:n=5` is the text 5, `put:n:=5` the number."#;

/// What stands between key and value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    Text,
    Literal,
}

/// A key, and what stands behind it.
struct Words<'a> {
    key: Vec<u8>,
    value: Option<(Sign, &'a str)>,
}

/// Reads one operation.
///
/// # Errors
///
/// A sentence that names what is wrong and what is expected.
pub(crate) fn parse_operation(text: &str) -> Result<Operation, String> {
    let Some((verb, rest)) = text.split_once(':') else {
        return Err(format!(
            "`{text}` is not an operation: write VERB:KEY…, with put, delete, get, add or expect"
        ));
    };
    let form = match verb {
        "put" => "put:KEY=TEXT or put:KEY:=LITERAL",
        "delete" => "delete:KEY",
        "get" => "get:KEY",
        "add" => "add:KEY=N[,min=N][,max=N]",
        "expect" => "expect:KEY=TEXT, expect:KEY:=LITERAL or expect:KEY:=absent",
        _ => {
            return Err(format!(
                "`{verb}` in `{text}` is not an operation: there are put, delete, get, add, expect"
            ));
        }
    };
    let parsed = words(rest).and_then(|words| operation(verb, words));
    parsed.map_err(|reason| format!("`{text}`: {reason}; the form is {form}"))
}

fn operation(verb: &str, words: Words<'_>) -> Result<Operation, String> {
    let Words { key, value } = words;
    match (verb, value) {
        ("delete", None) => Ok(Operation::Delete { key }),
        ("get", None) => Ok(Operation::Get { key }),
        ("delete" | "get", Some(_)) => {
            Err("there is no value in this operation (in a key, write \\= for =)".to_owned())
        }
        (_, None) => Err("the value is missing".to_owned()),
        ("put", Some((Sign::Literal, "absent"))) => {
            Err("a key is made absent by delete".to_owned())
        }
        ("put", Some((sign, text))) => Ok(Operation::Put {
            key,
            value: literal(sign, text)?,
        }),
        ("expect", Some((Sign::Text, "absent"))) => Err(
            "`=absent` could be meant in two ways: write :=absent for no value, :=\"absent\" for \
             the text"
                .to_owned(),
        ),
        ("expect", Some((Sign::Literal, "absent"))) => Ok(Operation::Expect { key, value: None }),
        ("expect", Some((sign, text))) => Ok(Operation::Expect {
            key,
            value: Some(literal(sign, text)?),
        }),
        (_, Some((_, text))) => addition(key, text),
    }
}

fn literal(sign: Sign, text: &str) -> Result<Literal, String> {
    match sign {
        Sign::Text => Ok(Literal::Bytes(text.as_bytes().to_vec())),
        Sign::Literal => Literal::parse(text),
    }
}

fn addition(key: Vec<u8>, text: &str) -> Result<Operation, String> {
    let mut fields = text.split(',');
    let delta = integer("the amount", fields.next().unwrap_or_default())?;
    let (mut min, mut max) = (None, None);
    for field in fields {
        let (name, bound) = match field.split_once('=') {
            Some(("min", bound)) => ("min", bound),
            Some(("max", bound)) => ("max", bound),
            _ => return Err(format!("`{field}` is neither min=N nor max=N")),
        };
        let slot = if name == "min" { &mut min } else { &mut max };
        if slot.replace(integer(name, bound)?).is_some() {
            return Err(format!("{name} stands there twice"));
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(format!("min {min} is above max {max}"));
    }
    Ok(Operation::Add {
        key,
        delta,
        min,
        max,
    })
}

fn integer(what: &str, text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("{what} `{text}` is not an integer of 64 bits"))
}

/// Splits at the first `=` or `:=` that is not escaped.
fn words(text: &str) -> Result<Words<'_>, String> {
    let mut escaped = false;
    let mut end = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'=' => {
                end = Some(at);
                break;
            }
            _ => {}
        }
    }
    let (key, value) = match end {
        None => (text, None),
        Some(at) => {
            let value = &text[at + 1..];
            match text[..at].strip_suffix(':') {
                Some(key) if !ends_escaped(key) => (key, Some((Sign::Literal, value))),
                _ => (&text[..at], Some((Sign::Text, value))),
            }
        }
    };
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok(Words {
        key: unescape(key)?,
        value,
    })
}

/// Whether the character behind `text` is escaped.
fn ends_escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Literal {
        Literal::Bytes(text.as_bytes().to_vec())
    }

    fn put(key: &str, value: Literal) -> Operation {
        Operation::Put {
            key: key.into(),
            value,
        }
    }

    fn expect(key: &str, value: Option<Literal>) -> Operation {
        Operation::Expect {
            key: key.into(),
            value,
        }
    }

    fn add(key: &str, delta: i64, min: Option<i64>, max: Option<i64>) -> Operation {
        Operation::Add {
            key: key.into(),
            delta,
            min,
            max,
        }
    }

    #[test]
    fn every_form_is_read() {
        let cases = [
            ("put:42=hello", put("42", bytes("hello"))),
            ("put:42=", put("42", bytes(""))),
            ("put:n=5", put("n", bytes("5"))),
            ("put:n:=5", put("n", Literal::Integer(5))),
            ("put:n=:=5", put("n", bytes(":=5"))),
            ("put:b:=0x00ff", put("b", Literal::Bytes(vec![0, 255]))),
            ("put:t:=\"a=b\"", put("t", bytes("a=b"))),
            ("put:t=a=b,c\\d", put("t", bytes("a=b,c\\d"))),
            ("put:t=absent", put("t", bytes("absent"))),
            ("delete:k", Operation::Delete { key: b"k".to_vec() }),
            (
                "get:user:7",
                Operation::Get {
                    key: b"user:7".to_vec(),
                },
            ),
            (
                "get:a\\=b",
                Operation::Get {
                    key: b"a=b".to_vec(),
                },
            ),
            ("add:sku=-2,min=0", add("sku", -2, Some(0), None)),
            ("add:sku:=2", add("sku", 2, None, None)),
            ("add:a,b=+2,max=9,min=-9", add("a,b", 2, Some(-9), Some(9))),
            ("expect:x=open", expect("x", Some(bytes("open")))),
            ("expect:x:=5", expect("x", Some(Literal::Integer(5)))),
            ("expect:x:=absent", expect("x", None)),
            ("expect:x:=\"absent\"", expect("x", Some(bytes("absent")))),
        ];
        for (text, operation) in cases {
            assert_eq!(parse_operation(text), Ok(operation), "{text}");
        }
    }

    #[test]
    fn a_key_may_hold_anything() {
        let cases = [
            ("put:a:b=c", "a:b", "c"),
            ("put:a\\:=c", "a:", "c"),
            ("put:a\\=b=c", "a=b", "c"),
            ("put:a\\\\=c", "a\\", "c"),
            ("put:\\x41\\x3d=c", "A=", "c"),
        ];
        for (text, key, value) in cases {
            assert_eq!(parse_operation(text), Ok(put(key, bytes(value))), "{text}");
        }
        let literal = parse_operation("put:a\\\\:=5");
        assert_eq!(literal, Ok(put("a\\", Literal::Integer(5))));
    }

    #[test]
    fn errors_name_what_is_wrong_and_the_form() {
        let cases = [
            ("put", "not an operation"),
            ("set:a=b", "`set`"),
            ("put:a", "value is missing"),
            ("put:=5", "the key is empty"),
            ("put:a:=five", "neither an integer"),
            ("put:a:=absent", "by delete"),
            ("get:a=b", "no value"),
            ("get:", "the key is empty"),
            ("add:a=two", "the amount `two`"),
            ("add:a=1,mini=0", "`mini=0`"),
            ("add:a=1,min=x", "min `x`"),
            ("add:a=1,min=0,min=1", "twice"),
            ("add:a=1,min=2,max=1", "min 2 is above max 1"),
            ("expect:a=absent", "two ways"),
            ("put:a\\n=b", "a backslash in a key"),
        ];
        for (text, part) in cases {
            let error = parse_operation(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = parse_operation("add:sku=two").unwrap_err();
        assert_eq!(
            error,
            "`add:sku=two`: the amount `two` is not an integer of 64 bits; the form is \
             add:KEY=N[,min=N][,max=N]"
        );
    }
}
