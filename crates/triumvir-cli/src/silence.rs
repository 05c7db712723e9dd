//! How long commits stopped. Pure arithmetic on the moments of acknowledgement.

use std::time::Duration;

/// A stretch without any acknowledged commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Silence {
    /// From the fault to the beginning of the stretch: acknowledgements that were on their way still
    /// arrive.
    pub(crate) begins: Duration,
    /// How long it lasts.
    pub(crate) lasts: Duration,
}

/// The longest stretch without an acknowledgement that begins at `from` or later and before `until`.
/// `acknowledged` are the moments of all acknowledgements, rising; all moments count from the same
/// instant. `None` if no acknowledgement follows: commits did not resume.
pub(crate) fn longest(
    acknowledged: &[Duration],
    from: Duration,
    until: Duration,
) -> Option<Silence> {
    let first = acknowledged.partition_point(|moment| *moment <= from);
    let mut begins = from;
    let mut longest: Option<Silence> = None;
    for moment in &acknowledged[first..] {
        if begins >= until {
            break;
        }
        let lasts = *moment - begins;
        if longest.is_none_or(|silence| lasts > silence.lasts) {
            longest = Some(Silence {
                begins: begins - from,
                lasts,
            });
        }
        begins = *moment;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(numbers: &[u64]) -> Vec<Duration> {
        numbers.iter().copied().map(Duration::from_millis).collect()
    }

    fn silence(acknowledged: &[u64], from: u64, until: u64) -> Option<(u128, u128)> {
        let (from, until) = (Duration::from_millis(from), Duration::from_millis(until));
        let found = longest(&millis(acknowledged), from, until)?;
        Some((found.begins.as_millis(), found.lasts.as_millis()))
    }

    #[test]
    fn it_begins_with_the_fault_or_with_what_was_still_on_its_way() {
        assert_eq!(silence(&[1, 2, 900, 901], 10, 2_000), Some((0, 890)));
        assert_eq!(silence(&[1, 12, 15, 900, 901], 10, 2_000), Some((5, 885)));
    }

    #[test]
    fn later_silences_belong_to_the_next_fault() {
        assert_eq!(silence(&[20, 30, 5_000], 10, 30), Some((0, 10)));
        assert_eq!(silence(&[20, 30, 5_000], 10, 31), Some((20, 4_970)));
    }

    #[test]
    fn without_another_acknowledgement_there_is_no_answer() {
        assert_eq!(silence(&[1, 2], 10, 2_000), None);
        assert_eq!(silence(&[], 0, 1), None);
    }
}
