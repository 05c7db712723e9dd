//! Every call has a deadline: its own, or the default.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// The most that is kept back of a caller's time, so that the answer at the deadline still arrives.
const MARGIN_MAX: Duration = Duration::from_millis(100);

/// A caller that waits for a day can ask again.
const TIME_MAX: Duration = Duration::from_secs(86_400);

/// When the call must be answered.
pub(super) fn deadline(metadata: &MetadataMap, default: Duration) -> Instant {
    let stated = metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse);
    within(stated.unwrap_or(default))
}

/// The same, for a caller that waits for `time`.
pub(super) fn within(time: Duration) -> Instant {
    let time = time.min(TIME_MAX);
    Instant::now() + (time - MARGIN_MAX.min(time / 10))
}

/// A time as gRPC writes it: at most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
    .map(|time| time.min(TIME_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_grpc_writes() {
        for (text, millis) in [("1S", 1000), ("20m", 20), ("3000u", 3), ("2M", 120_000)] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(86_400)));
        for text in ["", "S", "1", "1x", "-1S", "123456789S", "\u{e9}"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
