//! docs/protocol.md, "Invariants", one value per ballot, and a value chosen at a ballot is the value of
//! every later ballot.

use super::{Chronicle, Verdict, Violation, opposite};

pub(super) fn check(past: &Chronicle) -> Verdict {
    for (key, ballots) in &past.accepts {
        for (ballot, accepts) in ballots {
            let mut values = accepts.values();
            let first = values.next();
            if values.any(|value| Some(value) != first) {
                let detail = format!("{} {} at {ballot}: {accepts:?}", key.0, key.1);
                return Err(Violation::new("one value per ballot", detail));
            }
        }
        for chosen in past.chosen(*key) {
            let later = ballots.range(chosen.ballot..);
            let other = opposite(chosen.value);
            if let Some((ballot, _)) = later
                .into_iter()
                .find(|(_, accepts)| accepts.values().any(|value| *value == other))
            {
                let detail = format!(
                    "{} {}: {chosen:?} is chosen, and not at {ballot}",
                    key.0, key.1
                );
                return Err(Violation::new("chosen value", detail));
            }
        }
    }
    Ok(())
}
