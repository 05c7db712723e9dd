//! The switches that break one rule of docs/protocol.md each. They exist so that the model checker
//! can show what every rule prevents.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The rules in force. `Rules::default()` breaks none; any other value can be made only
        /// under the feature `mutants`, which no shipped binary enables.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct Rules {
            $($(#[$doc])* #[cfg(feature = "mutants")] pub $name: bool,)*
        }

        impl Rules {
            $($(#[$doc])* #[cfg(feature = "mutants")]
            pub(crate) const fn $name(self) -> bool { self.$name }
            $(#[$doc])* #[cfg(not(feature = "mutants"))]
            pub(crate) const fn $name(self) -> bool { false })*
        }
    };
}

rules! {
    /// 1: a prepared participant aborts alone on its timeout.
    abort_alone,
    /// 2: a fenced participant counts as aborted.
    fenced_is_aborted,
    /// 3: the conductor aborts on a refusal.
    abort_on_refusal,
    /// 4: the three-phase client is answered at the record.
    answer_at_record,
    /// 5: the leader says abort after it proposed pre-commit.
    abort_after_proposal,
    /// 6: the leader aborts on a timeout without a record.
    abort_without_record,
    /// 7: no record is answered as abort.
    absence_is_abort,
    /// 8: accept ignores the expected ballot.
    accept_unexpected,
    /// 9: the coordinator's ballot is sent before it is recorded.
    send_unrecorded,
    /// 10: a fence round aborts on promises.
    abort_on_promises,
    /// 11: a fence round counts accepts of other ballots.
    mix_ballots,
    /// 12: acks leave before they are forced.
    ack_unforced,
    /// 12: a fence round's own promise and acceptance are not forced.
    fence_unforced,
    /// 13: a READ voter is fenced by the conductor, and its promise is counted.
    count_read_promise,
    /// 13: a READ voter is asked to accept by the conductor, and its ack is counted.
    count_read_ack,
    /// 14: a READ vote is forgotten on the outcome.
    forget_read,
    /// 15: COMMITTED is forgotten at once.
    forget_committed,
    /// 16: can-commit below the horizon is answered NO.
    refuse_forgotten_vote,
    /// 16: a fence below the horizon is answered NO.
    refuse_forgotten_fence,
    /// 17: an abort record is applied below the horizon.
    abort_forgotten,
    /// 18: the horizon is taken as abort evidence for a client.
    horizon_is_abort,
    /// 18: the horizon is told to a participant that asks as an abort.
    horizon_told_as_abort,
    /// 19: the horizon is not forced with what it forgets.
    horizon_unforced,
    /// 19: the horizon is told before it is applied.
    horizon_unapplied,
    /// 20: the horizon passes a live record.
    horizon_passes_open,
    /// 21: DECIDED counts as COMMITTED for the end.
    end_on_decided,
    /// 22: the digest is ignored in a client's commit.
    ignore_digest_in_commit,
    /// 22: the digest is ignored in an abort.
    ignore_digest_in_abort,
    /// 22: the digest is ignored in an inquiry.
    ignore_digest_in_inquiry,
    /// 22: the digest is ignored in a vote.
    ignore_digest_in_vote,
    /// 23: the mode is not part of the digest.
    ignore_mode,
    /// 24: NO is voted without a tombstone.
    no_tombstone,
    /// 24: an abort for an id that was never voted on is not remembered.
    abort_unremembered,
    /// 25: a participant that lost its work votes YES.
    yes_without_work,
    /// 26: can-commit without content is voted READ.
    read_without_work,
    /// 28: a poll does not refuse for one that has not voted.
    poll_binds_nothing,
    /// 28: another digest is answered by silence.
    conflict_silent,
    /// 28: FORGOTTEN does not say how far.
    forgotten_unbounded,
    /// 28: FORGOTTEN is ignored by a prepared peer.
    forgotten_ignored,
    /// 28, for condition 1: the conductor ignores a refusal.
    refusal_ignored,
    /// 28, for condition 2: a pre-committed participant waits for do-commit for ever.
    finish_waits,
    /// 28, for conditions 3 and 4: a coordinator that has spoken once is waited for for ever.
    endless_patience,
    /// 28: what may have been lost is not sent again.
    resend_silent,
}
