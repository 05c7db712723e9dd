//! Calling the conductor, and doing what it says. Nothing is added to it and nothing left out.

use triumvir_protocol::{
    Conductor, ConductorOutputs, Coordinator, Digest, Message, Milestone, ParticipantId, Standing,
    TxnId,
};

use super::Owner;
use super::lead::Role;
use crate::telemetry;

impl Owner {
    /// Has the conductor act, if this replica leads.
    pub(super) fn conduct(
        &mut self,
        act: impl FnOnce(&mut Conductor, &Coordinator, &mut ConductorOutputs),
    ) {
        let Role::Leading(leading) = &mut self.role else {
            return;
        };
        let mut out = ConductorOutputs::default();
        act(&mut leading.conductor, &self.coordinator, &mut out);
        self.absorb(out);
    }

    pub(super) fn absorb(&mut self, out: ConductorOutputs) {
        #[cfg(feature = "failpoints")]
        let out = {
            let mut out = out;
            crate::failpoint::conducted(&mut out, &self.directory);
            out
        };
        let ConductorOutputs {
            propose,
            send,
            replies,
            timers,
            milestones,
        } = out;
        self.proposals.extend(propose);
        for (to, txn, digest, request) in send {
            self.sessions.say(to, txn, digest, request);
        }
        if let Role::Leading(leading) = &mut self.role {
            for (txn, timer) in timers {
                leading.timers.arm(txn, timer);
            }
        }
        for (txn, milestone) in milestones {
            if let (Milestone::Recorded | Milestone::Decided(..), Role::Leading(leading)) =
                (&milestone, &mut self.role)
            {
                leading.timers.cancel_vote(txn);
            }
            self.note(txn, milestone);
        }
        for (caller, _, reply) in replies {
            self.callers.answer(caller, reply);
        }
    }

    /// Lets go of the timers of `txn`, unless it is under way.
    pub(super) fn tidy_timers(&mut self, txn: TxnId) {
        if let Role::Leading(leading) = &mut self.role
            && leading.conductor.phase(txn).is_none()
        {
            leading.timers.cancel(txn);
        }
    }

    fn note(&mut self, txn: TxnId, milestone: Milestone) {
        if let Standing::Open(open) = self.coordinator.standing(txn)
            && self.history.get(txn).is_none()
        {
            self.history.learn_recorded(txn, &open.terms);
        }
        let entry = self.history.happened(txn, &milestone);
        telemetry::happened(txn, entry, &milestone, self.config.slow, &self.directory);
        if let Milestone::Decided(outcome, cause) = milestone {
            self.learn(txn, outcome, cause);
        }
    }

    /// A participant speaks in its session.
    pub(super) fn on_frame(
        &mut self,
        from: ParticipantId,
        serial: u64,
        messages: Vec<(TxnId, Digest, Message)>,
    ) {
        if !self.sessions.hears(from, serial) {
            return;
        }
        for (txn, digest, message) in messages {
            #[cfg(feature = "failpoints")]
            if !crate::failpoint::hears(&self.directory.name(from), &message) {
                continue;
            }
            let leads = self.role.epoch().is_some();
            match message {
                Message::Answer(answer) if leads => {
                    self.history.heard(from, txn, digest, &answer);
                    self.conduct(|conductor, coordinator, out| {
                        conductor.handle_answer(coordinator, from, txn, digest, answer, out);
                    });
                    self.tidy_timers(txn);
                }
                Message::Inquiry(inquiry) if leads => {
                    let terms = inquiry.terms.clone();
                    self.conduct(|conductor, coordinator, out| {
                        conductor.handle_inquiry(coordinator, from, txn, inquiry, out);
                    });
                    if self.history.get(txn).is_some() {
                        self.history.learn(txn, &terms);
                    }
                }
                Message::Inquiry(inquiry) if inquiry.terms.lists(from) => {
                    // A follower says only what the applied log is evidence of.
                    let evidence = Conductor::evidence(&self.coordinator, self.rules, txn, digest);
                    if let Some(request) = evidence {
                        self.sessions.say(from, txn, digest, request);
                    }
                }
                // Answers are for the leader; the conversion lets no request come here.
                Message::Answer(_) | Message::Inquiry(_) | Message::Request(_) => {}
            }
        }
    }
}
