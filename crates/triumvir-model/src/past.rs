//! What an onlooker knows, as a part of the state: two executions that differ in what was durable or
//! said differ in it.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use triumvir_protocol::invariants::{Chronicle, View, Violation, check};

use crate::shared::Shared;

/// A hasher that takes text: a chronicle has an order of its own and can be written down.
struct Text(DefaultHasher);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

fn share(chronicle: Chronicle) -> Shared<Chronicle> {
    let mut text = Text(DefaultHasher::new());
    write!(text, "{chronicle:?}").expect("a hasher takes all text");
    Shared::hashed(text.0.finish(), chronicle)
}

/// A chronicle before anything happened.
pub(crate) fn begin(chronicle: Chronicle) -> Shared<Chronicle> {
    share(chronicle)
}

/// Adds `view`, and says which property it contradicts.
pub(crate) fn observe(past: &mut Shared<Chronicle>, view: &View<'_>) -> Option<Violation> {
    let mut next = (**past).clone();
    let verdict = check(&mut next, view);
    if next != **past {
        *past = share(next);
    }
    verdict.err()
}
