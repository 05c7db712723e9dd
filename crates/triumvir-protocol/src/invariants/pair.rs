//! Two participants with one transaction between them, for tests of what may be said.

use std::collections::{BTreeMap, BTreeSet};

use super::{Stored, View};
use crate::{
    Accepted, Ballot, Branch, BranchState, Coordinator, Digest, Horizon, Mode, Outcome,
    ParticipantId, Payload, Record, Terms, TxnId, Work,
};

pub(super) const TXN: TxnId = TxnId::from_u128(1);
pub(super) const P1: ParticipantId = ParticipantId(1);
pub(super) const P2: ParticipantId = ParticipantId(2);

/// Two disks, and a log that has pre-commit.
pub(super) struct Pair {
    pub(super) terms: Terms,
    pub(super) log: Coordinator,
    disks: [BTreeMap<TxnId, Branch>; 2],
    effects: BTreeMap<(TxnId, Digest), Outcome>,
    locked: BTreeSet<TxnId>,
}

impl Pair {
    /// Both are prepared and have promised nothing.
    pub(super) fn prepared() -> Self {
        let work = Work::Payload(Payload::from([]));
        let parts = [P1, P2].map(|id| (id, work.clone()));
        let terms = Terms::of(Mode::ThreePhase, &parts).unwrap();
        let record = Record::PreCommit {
            txn: TXN,
            terms: terms.clone(),
            voters: [P1, P2].into(),
        };
        let mut log = Coordinator::default();
        log.apply(1, record);
        let mut pair = Self {
            terms,
            log,
            disks: Default::default(),
            effects: BTreeMap::new(),
            locked: BTreeSet::from([TXN]),
        };
        pair.promise(P1, Ballot::ZERO, None);
        pair.promise(P2, Ballot::ZERO, None);
        pair
    }

    /// `at` is prepared, with this promise and acceptance.
    pub(super) fn promise(
        &mut self,
        at: ParticipantId,
        promised: Ballot,
        accepted: Option<Accepted>,
    ) {
        let state = BranchState::Prepared {
            terms: self.terms.clone(),
            age: TXN,
            promised,
            accepted,
        };
        self.write(at, state);
    }

    /// `at` has accepted what the log has.
    pub(super) fn pre_commit(&mut self, at: ParticipantId) {
        let state = BranchState::PreCommitted {
            terms: self.terms.clone(),
            age: TXN,
            ballot: Ballot::ZERO,
        };
        self.write(at, state);
    }

    fn write(&mut self, at: ParticipantId, state: BranchState) {
        let branch = Branch {
            digest: self.terms.digest,
            state,
            results: Payload::from([]),
        };
        self.disks[usize::from(at == P2)].insert(TXN, branch);
    }

    pub(super) fn view(&self) -> View<'_> {
        let stored = |branches| Stored {
            horizon: Horizon::default(),
            branches,
            effects: &self.effects,
            locked: &self.locked,
        };
        let [one, other] = &self.disks;
        View {
            coordinators: vec![&self.log],
            participants: [(P1, stored(one)), (P2, stored(other))].into(),
            ..View::default()
        }
    }
}
