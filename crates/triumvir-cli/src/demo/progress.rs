//! What a person sees while the orders are replayed: a bar on a terminal, else a line now and then.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::meter::{Meter, Window};
use crate::output::Output;
use crate::view::duration;

const BAR_PERIOD: Duration = Duration::from_millis(500);
const LINE_PERIOD: Duration = Duration::from_secs(2);
const TEMPLATE: &str = "{elapsed_precise} [{bar:30}] {pos}/{len} orders, {msg}";

/// The progress of one replay.
pub(super) struct Progress<'a> {
    output: &'a Output,
    total: u64,
    bar: Option<ProgressBar>,
}

impl<'a> Progress<'a> {
    /// A bar if stderr is a terminal.
    pub(super) fn new(output: &'a Output, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(TEMPLATE).expect("the template is a constant");
            ProgressBar::new(total).with_style(style.progress_chars("=> "))
        });
        Self { output, total, bar }
    }

    /// Shows the meter again and again until it is dropped.
    pub(super) async fn follow<T>(&self, meter: &Meter) -> T {
        let settled = meter.watch_settled();
        let period = if self.bar.is_some() {
            BAR_PERIOD
        } else {
            LINE_PERIOD
        };
        let mut ticks = tokio::time::interval(period);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let (done, window) = (*settled.borrow(), describe(meter.take_window()));
            match &self.bar {
                Some(bar) => {
                    bar.set_position(done);
                    bar.set_message(window);
                }
                None => self
                    .output
                    .note(format!("{done}/{} orders, {window}", self.total)),
            }
        }
    }

    /// Says something while the bar stands.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.output.note(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(window: Window) -> String {
    let rate = format!("{:.0}/s", window.rate);
    match (window.p50, window.p99) {
        (Some(p50), Some(p99)) => {
            format!(
                "{rate}, latency p50 {} p99 {}",
                duration(p50),
                duration(p99)
            )
        }
        _ => format!("{rate}, nothing acknowledged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_without_commits_says_so() {
        let none = Window {
            rate: 0.0,
            p50: None,
            p99: None,
        };
        assert_eq!(describe(none), "0/s, nothing acknowledged");
        let two = Duration::from_millis(2);
        let some = Window {
            rate: 1234.5,
            p50: Some(two),
            p99: Some(two),
        };
        assert_eq!(describe(some), "1234/s, latency p50 2.0 ms p99 2.0 ms");
    }
}
