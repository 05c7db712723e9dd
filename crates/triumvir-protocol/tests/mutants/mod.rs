//! The harness sees failures: with one rule broken, some seed fails. The numbers are those of
//! docs/protocol.md, "Executions that each rule prevents".

use triumvir_protocol::Rules;

use crate::explore::explore;

const SEEDS: u64 = 60_000;

/// The first seed that fails under `rules`, and why.
fn caught(rules: Rules) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let steps = 60 + 40 * (seed % 6) as usize;
        let why = explore(seed, steps, rules).err()?;
        Some((seed, why.lines().next().unwrap_or_default().to_owned()))
    })
}

#[test]
fn base() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..30_000 {
        let steps = 60 + 40 * (seed % 6) as usize;
        if let Err(why) = explore(seed, steps, Rules::default()) {
            let kind = why.lines().next().unwrap_or_default().split(": ").nth(1).unwrap_or_default().to_owned();
            seen.entry(kind).or_insert_with(Vec::new).push((seed, why.len(), why));
        }
    }
    let mut text = String::new();
    for (kind, mut list) in seen {
        list.sort_by_key(|(_, len, _)| *len);
        text += &format!("### {kind} {} times\n{}\n", list.len(), list[0].2);
    }
    assert!(text.is_empty(), "{text}");
}

macro_rules! mutants {
    ($($test:ident: $rule:ident,)*) => {
        $(#[test]
        fn $test() {
            let mut rules = Rules::default();
            rules.$rule = true;
            let (seed, why) = caught(rules).expect("some seed fails");
            panic!("CAUGHT {seed} {why}");
        })*
    };
}

mutants! {
    m1_abort_alone: abort_alone,
    m2_fenced_is_aborted: fenced_is_aborted,
    m3_abort_on_refusal: abort_on_refusal,
    m4_answer_at_record: answer_at_record,
    m5_abort_after_proposal: abort_after_proposal,
    m6_abort_without_record: abort_without_record,
    m7_absence_is_abort: absence_is_abort,
    m8_accept_unexpected: accept_unexpected,
    m9_send_unrecorded: send_unrecorded,
    m10_abort_on_promises: abort_on_promises,
    m11_mix_ballots: mix_ballots,
    m12_ack_unforced: ack_unforced,
    m13_count_read: count_read,
    m14_forget_read: forget_read,
    m15_forget_committed: forget_committed,
    m16_refuse_forgotten: refuse_forgotten,
    m17_abort_forgotten: abort_forgotten,
    m18_horizon_is_abort: horizon_is_abort,
    m19_horizon_unforced: horizon_unforced,
    m19_horizon_unapplied: horizon_unapplied,
    m20_horizon_passes_open: horizon_passes_open,
    m21_end_on_decided: end_on_decided,
    m22_ignore_digest: ignore_digest,
    m23_ignore_mode: ignore_mode,
    m24_no_tombstone: no_tombstone,
    m25_yes_without_work: yes_without_work,
    m26_read_without_work: read_without_work,
    m28_poll_binds_nothing: poll_binds_nothing,
    m28_conflict_silent: conflict_silent,
    m28_forgotten_ignored: forgotten_ignored,
}
