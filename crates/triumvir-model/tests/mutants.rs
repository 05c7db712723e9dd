//! Every rule is needed: with one left out, the checker finds an execution that breaks a property, and
//! the shortest is written down under `testdata/`. With `TRIUMVIR_BLESS=1` the files are rewritten.
//! Under the feature `mutants` alone, as nothing else can leave a rule out.

#![cfg(feature = "mutants")]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use triumvir_model::{Ask, Bounds, Content, Found, Inquiries, Limits, Vote, allowance, run};
use triumvir_protocol::{Mode, Rules};

/// When the first search began: all of them together have their allowance.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Generous: no mutant needs a tenth of it.
const STATES_MAX: usize = 4_000_000;

fn visit(bounds: Bounds, states: usize) -> Found {
    let limits = Limits {
        threads: 1,
        time: allowance().saturating_sub(BEGAN.elapsed()),
        states,
        shortest: true,
    };
    run(bounds, limits)
}

fn search(name: &str, bounds: Bounds) -> Found {
    let found = visit(bounds, STATES_MAX);
    assert!(
        found.complete || !found.failures.is_empty(),
        "{name} was given up: its states have become too many, or TRIUMVIR_MODEL_SECONDS are too few \
         for this machine: {found}"
    );
    found
}

/// What is left out of states is argued for all rules in force, and these carry an argument: a refusal
/// that is answered with a fence beyond the bounds, and an ack that counts at its own ballot alone.
const ARGUED: [&str; 2] = ["m03_abort_on_refusal", "m11_mix_ballots"];

/// `bounds` under a rule that is broken, and `kept` under all in force.
fn caught(name: &str, bounds: Bounds, kept: Bounds, property: &str) {
    let found = search(name, bounds.clone());
    let (broken, transcript) = found.failures.first().unwrap_or_else(|| {
        panic!("{name} is not seen: {found}");
    });
    assert_eq!(*broken, property, "{found}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/{name}.txt"));
    let text = format!(
        "# {name}: {property} does not hold ({} states)\n\n{transcript}",
        found.states
    );
    if std::env::var_os("TRIUMVIR_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("writable");
        std::fs::write(&path, &text).expect("writable");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(known, text, "TRIUMVIR_BLESS=1 rewrites");
    // It is the rule: with it, as many states have nothing to show.
    let sound = visit(kept, found.generated);
    assert!(sound.failures.is_empty(), "{name} with its rule: {sound}");
    // With that left out as in the runs under the rules in force, it is seen as well.
    if !ARGUED.contains(&name) && !bounds.horizon {
        let prune = true;
        let found = search(name, Bounds { prune, ..bounds });
        let seen = found.failures.iter().any(|(broken, _)| *broken == property);
        assert!(seen, "{name} is not seen by the pruned model: {found}");
    }
}

macro_rules! mutants {
    ($($test:ident: $rule:ident => $property:literal, $with:expr;)*) => {
        $(#[test]
        fn $test() {
            let with: fn(&mut Bounds) = $with;
            let under = |rules| {
                let mut bounds = Bounds::new(rules, 2);
                bounds.alarms = false;
                bounds.only = Some($property);
                with(&mut bounds);
                bounds.prune = false;
                bounds
            };
            let mut rules = Rules::default();
            let kept = under(rules);
            rules.$rule = true;
            caught(stringify!($test), under(rules), kept, $property);
        })*
    };
}

/// Two contents under one id, the second in `mode`, each at a seat of its own.
fn two(b: &mut Bounds, mode: Mode, text: &str) {
    b.contents.push(Content::text(b.rules, mode, &[1, 2], text));
    b.asks.push(Ask::Commit(1));
    b.seats = 2;
    b.asked = 2;
}

fn three(b: &mut Bounds) {
    let (only, alarms) = (b.only, b.alarms);
    *b = Bounds {
        only,
        alarms,
        ..Bounds::new(b.rules, 3)
    };
}

/// One vote of p1 and one READ of p2 are under way.
const READ: &str = "\
n1 is activated
a client asks n1: commit a
p1 receives n -> p1: CAN-COMMIT with work a
p1 has prepared: Yes
p2 receives n -> p2: CAN-COMMIT with work a
p2 has prepared: Read";

/// Two have voted YES and the third READ.
const READ_OF_THREE: &str = "\
n1 is activated
a client asks n1: commit a
p1 receives n -> p1: CAN-COMMIT with work a
p1 has prepared: Yes
p2 receives n -> p2: CAN-COMMIT with work a
p2 has prepared: Yes
p3 receives n -> p3: CAN-COMMIT with work a
p3 has prepared: Read";

/// What the second leader does from its activation to the end of the record.
const COMMITTED: &str = "\
n2 is activated
a client asks n2: commit a
p1 receives n -> p1: CAN-COMMIT with work a
p1 has prepared: Yes
p2 receives n -> p2: CAN-COMMIT with work a
p2 has prepared: Yes
n2 receives p1 -> n: YES a
n2 receives p2 -> n: YES a
the log takes PRE-COMMIT a voters [p1, p2]
p1 receives n -> p1: PRE-COMMIT@0.0 a
n2 receives p1 -> n: ACK@0.0 a
p1 receives n -> p1: DO-COMMIT a
p2 receives n -> p2: DO-COMMIT a
n2 receives p1 -> n: COMMITTED a
n2 receives p2 -> n: COMMITTED a
the log takes END commit";

/// Two leaders under a horizon, the second of which commits and ends everything after these steps of the
/// first.
fn ended(b: &mut Bounds, before: &[&str]) {
    b.horizon = true;
    b.seats = 2;
    b.asked = 2;
    b.inquiries.fill(Inquiries::Never);
    let lines = before.iter().copied().chain(COMMITTED.lines());
    b.opening = lines.map(String::from).collect();
}

/// A leader that nobody heeds any more still gathers votes, and the next one commits and ends everything
/// at a ballot of its own, as p1 has begun a round; the horizon may pass.
fn fenced(b: &mut Bounds) {
    b.horizon = true;
    b.seats = 2;
    b.asked = 2;
    b.rounds = 2;
    b.inquiries = vec![Inquiries::Pair, Inquiries::Never];
    let begun = ["n1 is activated", "a client asks n1: commit a"];
    let lines = begun.into_iter().chain(FENCED.lines());
    b.opening = lines.map(String::from).collect();
}

/// A round of p1 that p2 has accepted is overtaken by a coordinator's ballot with the promise of p3.
const OVERTAKEN: &str = "\
n1 receives p1 -> n: YES a
n1 receives p2 -> n: YES a
n1 receives p3 -> n: YES a
the log takes PRE-COMMIT a voters [p1, p2, p3]
p1: timer Inquire, twice
p1 receives p2 -> p1: PREPARED 0.0 a
p1 receives p3 -> p1: PREPARED 0.0 a
p1: timer Fence
p2 receives p1 -> p2: FENCE 1.1 a
p3 receives p1 -> p3: FENCE 1.1 a
p1 receives p2 -> p1: PROMISE 1.1 a
p1 receives p3 -> p1: PROMISE 1.1 a
p2 receives p1 -> p2: ACCEPT abort@1.1 a
n1 receives p3 -> n: REFUSE 1.1 a
p3 receives n -> p3: FENCE 2.0 a
n1 receives p3 -> n: PROMISE 2.0 a
the log takes ACCEPT commit@2.0 expecting 0.0";

/// What the second leader does in [`fenced`].
const FENCED: &str = "\
n2 is activated
a client asks n2: commit a
p1 receives n -> p1: CAN-COMMIT with work a
p1 has prepared: Yes
p2 receives n -> p2: CAN-COMMIT with work a
p2 has prepared: Yes
n2 receives p1 -> n: YES a
n2 receives p2 -> n: YES a
the log takes PRE-COMMIT a voters [p1, p2]
p1: timer Inquire, twice
p2 receives p1 -> p2: POLL a
p1 receives p2 -> p1: PREPARED 0.0 a
p1: timer Fence
p1 receives n -> p1: PRE-COMMIT@0.0 a
n2 receives p1 -> n: REFUSE 1.1 a
p2 receives n -> p2: FENCE 2.0 a
n2 receives p2 -> n: PROMISE 2.0 a
the log takes ACCEPT commit@2.0 expecting 0.0
p2 receives n -> p2: PRE-COMMIT@2.0 a
n2 receives p2 -> n: ACK@2.0 a
p1 receives n -> p1: DO-COMMIT a
p2 receives n -> p2: DO-COMMIT a
n2 receives p1 -> n: COMMITTED a
n2 receives p2 -> n: COMMITTED a
the log takes END commit";

mutants! {
    m01_abort_alone: abort_alone => "agreement", |_| {};
    m02_fenced_is_aborted: fenced_is_aborted => "agreement", |b| b.rounds = 2;
    m03_abort_on_refusal: abort_on_refusal => "client truth", |_| {};
    m04_answer_at_record: answer_at_record => "client truth", |_| {};
    m05_abort_after_proposal: abort_after_proposal => "closure", |b| {
        b.timeouts = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m06_abort_without_record: abort_without_record => "closure", |b| {
        b.timeouts = true;
        b.inquiries.fill(Inquiries::Never);
        b.seats = 2;
        b.asked = 2;
    };
    m07_absence_is_abort: absence_is_abort => "client truth", |b| {
        b.asks.push(Ask::Outcome);
        b.inquiries.fill(Inquiries::Never);
    };
    m08_accept_unexpected: accept_unexpected => "chosen value", |b| {
        b.open_voted();
        b.eager = true;
        b.rounds = 3;
        b.inquiries = vec![Inquiries::Pair, Inquiries::Never];
    };
    m09_send_unrecorded: send_unrecorded => "witness", |b| b.rounds = 2;
    m10_abort_on_promises: abort_on_promises => "agreement", |b| b.rounds = 2;
    m11_mix_ballots: mix_ballots => "agreement", |b| {
        three(b);
        b.open_voted();
        b.opening.extend(OVERTAKEN.lines().map(String::from));
        b.eager = true;
        b.rounds = 3;
        b.inquiries = vec![Inquiries::Pair, Inquiries::Never, Inquiries::Never];
    };
    m12_ack_unforced: ack_unforced => "client truth", |b| {
        b.restarts.fill(true);
    };
    m12_fence_unforced: fence_unforced => "durability", |_| {};
    m13_count_read_promise: count_read_promise => "durability", |b| {
        b.votes[1] = vec![Vote::Read];
        b.rounds = 2;
    };
    m13_count_read_promise_chosen: count_read_promise => "chosen value", |b| {
        b.opening = READ.lines().map(String::from).collect();
        b.votes[1] = vec![Vote::Read];
        b.rounds = 2;
        b.inquiries[1] = Inquiries::Never;
    };
    m13_count_read_ack: count_read_ack => "durability", |b| b.votes[1] = vec![Vote::Read];
    m13_count_read_ack_told: count_read_ack => "client truth", |b| {
        b.votes[1] = vec![Vote::Read];
    };
    m13_count_read_ack_aborted: count_read_ack => "agreement", |b| {
        three(b);
        b.votes[2] = vec![Vote::Read];
        b.opening = READ_OF_THREE.lines().map(String::from).collect();
        b.eager = true;
        b.inquiries = vec![Inquiries::Pair, Inquiries::Never, Inquiries::Never];
    };
    m14_forget_read: forget_read => "agreement", |b| {
        b.votes[1] = vec![Vote::Read, Vote::No];
        b.inquiries.fill(Inquiries::Never);
    };
    m14_forget_read_in_doubt: forget_read => "forget in doubt", |b| {
        b.votes[1] = vec![Vote::Read];
        b.inquiries.fill(Inquiries::Never);
    };
    m15_forget_committed: forget_committed => "agreement", |_| {};
    m15_forget_committed_in_doubt: forget_committed => "forget in doubt", |_| {};
    m16_refuse_forgotten_vote: refuse_forgotten_vote => "client truth", |b| {
        b.eager = true;
        b.seats = 2;
        b.asked = 2;
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m16_refuse_forgotten_fence: refuse_forgotten_fence => "durability", fenced;
    m16_refuse_forgotten_fence_told: refuse_forgotten_fence => "client truth", fenced;
    m17_abort_forgotten: abort_forgotten => "no resurrection", |b| {
        b.horizon = true;
        b.timeouts = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m17_abort_forgotten_told: abort_forgotten => "client truth", |b| {
        let begun = ["n1 is activated", "a client asks n1: commit a", "n1: timer Vote"];
        ended(b, &begun);
        b.timeouts = true;
        b.asks.push(Ask::Outcome);
    };
    m18_horizon_is_abort: horizon_is_abort => "client truth", |b| {
        b.horizon = true;
        b.asks.push(Ask::Outcome);
        b.inquiries.fill(Inquiries::Never);
    };
    m18_horizon_told_as_abort: horizon_told_as_abort => "durability", |b| {
        b.horizon = true;
        b.inquiries = vec![Inquiries::Pair, Inquiries::Never];
    };
    m19_horizon_unforced: horizon_unforced => "durability", |b| {
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m19_horizon_unforced_told: horizon_unforced => "client truth", |b| {
        ended(b, &["n1 is activated", "a client asks n1: commit a"]);
        let over = [
            "n2 wants the horizon to pass",
            "the log takes HORIZON",
            "p1 hears of the horizon",
            "p1 restarts",
        ];
        b.opening.extend(over.map(String::from));
        b.restarts.fill(true);
        b.votes[0].push(Vote::No);
    };
    m19_horizon_unapplied: horizon_unapplied => "agreement", |b| {
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m20_horizon_passes_open: horizon_passes_open => "no resurrection", |b| {
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m20_horizon_passes_open_aborted: horizon_passes_open => "agreement", |b| {
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m20_horizon_passes_open_in_doubt: horizon_passes_open => "forget in doubt", |b| {
        b.horizon = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m21_end_on_decided: end_on_decided => "forget", |b| b.inquiries.fill(Inquiries::Never);
    m22_ignore_digest_in_commit: ignore_digest_in_commit => "client truth", |b| {
        b.eager = true;
        two(b, Mode::ThreePhase, "b");
    };
    m22_ignore_digest_in_abort: ignore_digest_in_abort => "agreement", |b| {
        b.eager = true;
        two(b, Mode::ThreePhase, "b");
    };
    m22_ignore_digest_in_inquiry: ignore_digest_in_inquiry => "durability", |b| {
        b.eager = true;
        b.contents.push(Content::text(b.rules, Mode::ThreePhase, &[2], "b"));
        b.asks.push(Ask::Commit(1));
        b.seats = 2;
        b.asked = 2;
    };
    m22_ignore_digest_in_inquiry_committed: ignore_digest_in_inquiry => "agreement", |b| {
        b.eager = true;
        b.contents.push(Content::text(b.rules, Mode::ThreePhase, &[2], "b"));
        b.asks.push(Ask::Commit(1));
        b.seats = 2;
        b.asked = 2;
    };
    m22_ignore_digest_in_vote: ignore_digest_in_vote => "validity", |b| {
        b.eager = true;
        two(b, Mode::ThreePhase, "b");
    };
    m23_ignore_mode: ignore_mode => "client truth", |b| two(b, Mode::TwoPhase, "a");
    m24_no_tombstone: no_tombstone => "validity", |b| {
        b.eager = true;
        b.seats = 2;
        b.asked = 2;
        b.votes[1] = vec![Vote::No, Vote::Yes];
    };
    m24_abort_unremembered: abort_unremembered => "stability", |b| {
        b.timeouts = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m25_yes_without_work: yes_without_work => "work", |b| {
        b.contents = vec![Content::done(b.rules, Mode::ThreePhase, &[1, 2])];
        b.inquiries.fill(Inquiries::Never);
    };
    m26_read_without_work: read_without_work => "validity", |b| b.seats = 2;
    m28_poll_binds_nothing: poll_binds_nothing => "condition 3", |b| {
        b.only = None;
        b.conditions = true;
    };
    m28_poll_binds_nothing_refused: poll_binds_nothing => "condition 4", |b| b.conditions = true;
    m28_conflict_silent: conflict_silent => "condition 3", |b| {
        b.only = None;
        two(b, Mode::ThreePhase, "b");
        b.conditions = true;
    };
    m28_forgotten_unbounded: forgotten_unbounded => "condition 3", |b| {
        b.only = None;
        b.horizon = true;
        b.conditions = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m28_forgotten_ignored: forgotten_ignored => "condition 3", |b| {
        b.only = None;
        b.horizon = true;
        b.conditions = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m28_refusal_ignored: refusal_ignored => "condition 1", |b| {
        b.only = None;
        b.conditions = true;
    };
    m28_finish_waits: finish_waits => "condition 2", |b| {
        b.only = None;
        b.conditions = true;
        b.inquiries.fill(Inquiries::Never);
    };
    m28_endless_patience: endless_patience => "condition 3", |b| {
        b.conditions = true;
        b.memories = true;
    };
}

/// Everything within `bounds`, in which nothing fails.
fn sound(name: &str, bounds: Bounds) -> Found {
    let found = search(name, bounds);
    assert!(found.failures.is_empty(), "{name}: {found}");
    found
}

/// A participant that restarts begins to wait anew: what it has kept in memory blocks it.
#[test]
fn endless_patience_is_not_seen_after_restarts() {
    let rules = Rules {
        endless_patience: true,
        ..Rules::default()
    };
    let mut bounds = Bounds::new(rules, 2);
    bounds.conditions = true;
    sound("endless_patience", bounds);
}

/// What each timer is for is not reached without it: T3, also where T1 goes off.
#[test]
fn nobody_finishes_alone_without_t3() {
    let rules = Rules {
        finish_waits: true,
        ..Rules::default()
    };
    let found = sound("finish_waits", Bounds::new(rules, 2));
    assert_eq!(found.missing, ["finish alone"]);
}

/// Resending, also where resources take their time.
#[test]
fn nobody_is_told_again_without_resending() {
    let rules = Rules {
        resend_silent: true,
        ..Rules::default()
    };
    let mut bounds = Bounds::new(rules, 2);
    bounds.slow = true;
    bounds.inquiries = vec![Inquiries::Pair, Inquiries::Never];
    let found = sound("resend_silent", bounds);
    assert_eq!(found.missing, ["resend"]);
}
