//! Why a branch is refused: typed where it happens, a stable code and a text everywhere else.

use std::fmt;
use std::str::FromStr;

use crate::text::Found;
use crate::{CodecError, Key, Value};
use triumvir_protocol::{NoReason, TxnId};

/// Why a branch will not prepare.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// Wait-die: the younger one dies.
    #[error("key {key} is claimed by the older transaction {holder}")]
    Conflict {
        /// The first key, in key order, that an older transaction holds or waits for.
        key: Key,
        /// That transaction.
        holder: TxnId,
    },
    /// The wait for locks took too long.
    #[error("gave up waiting for key {key}, which transaction {holder} still claims")]
    Busy {
        /// The first key, in key order, that was not free.
        key: Key,
        /// A transaction that is in the way.
        holder: TxnId,
    },
    /// An add would fall below its bound.
    #[error("key {key} is {current}: adding {delta} falls below the minimum {minimum}")]
    Minimum {
        /// The key.
        key: Key,
        /// Its value before.
        current: i64,
        /// What was to be added.
        delta: i64,
        /// The bound.
        minimum: i64,
    },
    /// An add would rise above its bound.
    #[error("key {key} is {current}: adding {delta} rises above the maximum {maximum}")]
    Maximum {
        /// The key.
        key: Key,
        /// Its value before.
        current: i64,
        /// What was to be added.
        delta: i64,
        /// The bound.
        maximum: i64,
    },
    /// An add would leave the range of 64-bit integers.
    #[error("key {key} is {current}: adding {delta} overflows")]
    Overflow {
        /// The key.
        key: Key,
        /// Its value before.
        current: i64,
        /// What was to be added.
        delta: i64,
    },
    /// An add met bytes.
    #[error("key {key} holds bytes, not an integer: {found}")]
    NotInteger {
        /// The key.
        key: Key,
        /// Its value.
        found: Value,
    },
    /// A key was not as expected.
    #[error("key {key} is {}, expected {}", Found(.found), Found(.expected))]
    Expectation {
        /// The key.
        key: Key,
        /// What was expected.
        expected: Option<Value>,
        /// What stands there.
        found: Option<Value>,
    },
    /// The operations cannot be understood.
    #[error("the operations cannot be read: {detail}")]
    Malformed {
        /// What is wrong with them.
        detail: String,
    },
    /// The operations, or what they would answer, exceed a limit.
    #[error("{detail}")]
    TooLarge {
        /// Which limit.
        detail: String,
    },
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Conflict { .. } => RefusalCode::Conflict,
            Self::Busy { .. } => RefusalCode::Busy,
            Self::Minimum { .. } => RefusalCode::Minimum,
            Self::Maximum { .. } => RefusalCode::Maximum,
            Self::Overflow { .. } => RefusalCode::Overflow,
            Self::NotInteger { .. } => RefusalCode::NotInteger,
            Self::Expectation { .. } => RefusalCode::Expectation,
            Self::Malformed { .. } => RefusalCode::Malformed,
            Self::TooLarge { .. } => RefusalCode::TooLarge,
        }
    }

    /// Whether the same operations may succeed in a new transaction of the same
    /// [`Age`](crate::Age).
    pub fn is_retryable(&self) -> bool {
        self.code().is_retryable()
    }

    /// The form that travels: the code and the text.
    pub fn notice(&self) -> RefusalNotice {
        RefusalNotice {
            code: self.code(),
            detail: self.to_string(),
        }
    }
}

impl From<&Refusal> for NoReason {
    fn from(refusal: &Refusal) -> Self {
        Self::Resource {
            code: refusal.code().as_str().into(),
            detail: refusal.to_string().into(),
            retryable: refusal.is_retryable(),
        }
    }
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        let detail = error.to_string();
        if error.is_limit() {
            Self::TooLarge { detail }
        } else {
            Self::Malformed { detail }
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, retryable: $retryable:literal;)*) => {
        /// The stable words for refusals. They appear on the wire: a word never changes its
        /// meaning.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum RefusalCode {
            $($(#[$doc])* $name,)*
        }

        impl RefusalCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Whether the same operations may succeed in a new transaction. What depends on values
            /// that the client should look at again is not retryable.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable),* }
            }
        }
    };
}

codes! {
    /// See [`Refusal::Conflict`].
    Conflict = "conflict", retryable: true;
    /// See [`Refusal::Busy`].
    Busy = "busy", retryable: true;
    /// See [`Refusal::Minimum`].
    Minimum = "minimum", retryable: false;
    /// See [`Refusal::Maximum`].
    Maximum = "maximum", retryable: false;
    /// See [`Refusal::Overflow`].
    Overflow = "overflow", retryable: false;
    /// See [`Refusal::NotInteger`].
    NotInteger = "not-integer", retryable: false;
    /// See [`Refusal::Expectation`].
    Expectation = "expectation", retryable: false;
    /// See [`Refusal::Malformed`].
    Malformed = "malformed", retryable: false;
    /// See [`Refusal::TooLarge`].
    TooLarge = "too-large", retryable: false;
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not a refusal code of this version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("unknown refusal code {0:?}")]
pub struct UnknownCode(pub String);

impl FromStr for RefusalCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let code = Self::ALL.iter().find(|code| code.as_str() == text);
        code.copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A refusal as it is told to others: the typed fields are gone, the code and the text remain.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RefusalNotice {
    /// The stable code.
    pub code: RefusalCode,
    /// What happened, for people.
    pub detail: String,
}

impl RefusalNotice {
    /// A notice as it came off the wire.
    ///
    /// # Errors
    ///
    /// The code is not known to this version.
    pub fn from_parts(code: &str, detail: impl Into<String>) -> Result<Self, UnknownCode> {
        Ok(Self {
            code: code.parse()?,
            detail: detail.into(),
        })
    }
}

impl fmt::Display for RefusalNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own_and_survives_the_wire() {
        for code in RefusalCode::ALL {
            let notice = RefusalNotice {
                code: *code,
                detail: "why".into(),
            };
            assert_eq!(RefusalNotice::from_parts(code.as_str(), "why"), Ok(notice));
        }
        assert_eq!(
            "else".parse::<RefusalCode>(),
            Err(UnknownCode("else".into()))
        );
    }

    #[test]
    fn only_lock_conflicts_are_retryable() {
        let retryable: Vec<_> = RefusalCode::ALL
            .iter()
            .filter(|code| code.is_retryable())
            .collect();
        assert_eq!(retryable, [&RefusalCode::Conflict, &RefusalCode::Busy]);
    }

    #[test]
    fn texts_say_what_happened() {
        let key = Key::from("account/alice");
        let minimum = Refusal::Minimum {
            key: key.clone(),
            current: 30,
            delta: -50,
            minimum: 0,
        };
        assert_eq!(
            minimum.notice().to_string(),
            "minimum: key \"account/alice\" is 30: adding -50 falls below the minimum 0"
        );
        let expected = Some(Value::from("open"));
        let expectation = Refusal::Expectation {
            key,
            expected,
            found: None,
        };
        assert_eq!(
            expectation.to_string(),
            "key \"account/alice\" is absent, expected \"open\""
        );
    }
}
