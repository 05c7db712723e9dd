//! A histogram as Prometheus tells it: cumulative counts up to fixed bounds.

/// How many observations lie at or below each bound. The counts of two readings of the same series,
/// subtracted, tell what was observed in between.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Histogram {
    /// (upper bound, observations at or below it), by rising bound; the last bound is infinite.
    pub buckets: Vec<(f64, f64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// How many observations.
    pub count: f64,
}

impl Histogram {
    /// The observations of both.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.zip(other, |mine, theirs| mine + theirs)
    }

    /// The observations made since `earlier`, an earlier reading of the same series. A series that
    /// went back, since its process was started anew in between, counts from its new beginning.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if earlier.count > self.count {
            return self.clone();
        }
        self.zip(earlier, |mine, theirs| mine - theirs)
    }

    /// The value below which the share `q` (0 to 1) of the observations lies, taking those between
    /// two bounds as spread evenly. Above the last finite bound that bound is answered: the truth may
    /// be higher. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count <= 0.0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * self.count;
        let (mut bound_below, mut count_below) = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            if count >= rank && count > count_below {
                if bound.is_infinite() {
                    return Some(bound_below);
                }
                let share = ((rank - count_below) / (count - count_below)).max(0.0);
                return Some(bound_below + (bound - bound_below) * share);
            }
            (bound_below, count_below) = (bound, count);
        }
        Some(bound_below)
    }

    /// The average. `None` without observations.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// Both have the same bounds unless one is empty.
    fn zip(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        let theirs = |bound: f64| {
            let found = other.buckets.iter().find(|(other, _)| *other == bound);
            found.map_or(0.0, |(_, count)| *count)
        };
        let bounds = if self.buckets.is_empty() {
            &other.buckets
        } else {
            &self.buckets
        };
        let mine = |bound: f64| {
            let found = self.buckets.iter().find(|(own, _)| *own == bound);
            found.map_or(0.0, |(_, count)| *count)
        };
        let buckets = bounds
            .iter()
            .map(|&(bound, _)| (bound, combine(mine(bound), theirs(bound))))
            .collect();
        Self {
            buckets,
            sum: combine(self.sum, other.sum),
            count: combine(self.count, other.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(f64, f64)], sum: f64) -> Histogram {
        Histogram {
            buckets: buckets.to_vec(),
            sum,
            count: buckets.last().map_or(0.0, |(_, count)| *count),
        }
    }

    #[test]
    fn quantiles_lie_between_the_bounds() {
        let h = histogram(
            &[
                (1.0, 0.0),
                (2.0, 50.0),
                (4.0, 100.0),
                (f64::INFINITY, 100.0),
            ],
            200.0,
        );
        assert_eq!(h.quantile(0.5), Some(2.0));
        assert_eq!(h.quantile(0.25), Some(1.5));
        assert_eq!(h.quantile(1.0), Some(4.0));
        assert_eq!(h.mean(), Some(2.0));
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::default().mean(), None);
    }

    #[test]
    fn beyond_the_last_bound_that_bound_is_answered() {
        let h = histogram(&[(1.0, 1.0), (f64::INFINITY, 10.0)], 90.0);
        assert_eq!(h.quantile(0.99), Some(1.0));
    }

    #[test]
    fn two_readings_tell_what_lies_between() {
        let before = histogram(&[(1.0, 5.0), (f64::INFINITY, 6.0)], 9.0);
        let after = histogram(&[(1.0, 5.0), (f64::INFINITY, 8.0)], 29.0);
        let between = after.since(&before);
        assert_eq!(
            between,
            histogram(&[(1.0, 0.0), (f64::INFINITY, 2.0)], 20.0)
        );
        assert_eq!(between.plus(&before), after);
        assert_eq!(after.since(&Histogram::default()), after);
        assert_eq!(Histogram::default().plus(&after), after);
        assert_eq!(
            before.since(&after),
            before,
            "a restarted process counts anew"
        );
    }
}
