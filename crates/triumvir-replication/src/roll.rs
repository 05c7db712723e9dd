//! The roll: who the members are by what is applied here, and every id that ever was one. It only
//! grows with the log; nothing is decided here.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::types::{Members, StoredMembership};

/// Written by the state machine, read by everyone else. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roll(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    index: u64,
    members: Members,
    used: BTreeSet<u64>,
}

impl Roll {
    /// Takes note of a membership that is applied.
    pub(crate) fn enter(&self, membership: &StoredMembership) {
        let mut entries = self.lock();
        entries.index = membership.log_id().as_ref().map_or(0, |id| id.index);
        entries.members = Members::of(membership.membership());
        let nodes: Vec<u64> = membership.membership().nodes().map(|(id, _)| *id).collect();
        entries.used.extend(nodes);
    }

    /// Takes over what a snapshot says of ids that were used before.
    pub(crate) fn replace_used(&self, used: BTreeSet<u64>) {
        self.lock().used = used;
    }

    /// Every id that is or was a member.
    pub(crate) fn used(&self) -> BTreeSet<u64> {
        self.lock().used.clone()
    }

    /// Whether `node` was a member and is none any more. That is final: ids do not come back.
    pub(crate) fn is_removed(&self, node: u64) -> bool {
        let entries = self.lock();
        entries.used.contains(&node) && entries.members.member(node).is_none()
    }

    /// The members, and the log index at which they became so, if that is not `known` already.
    pub(crate) fn members_unless(&self, known: Option<u64>) -> Option<(u64, Members)> {
        let entries = self.lock();
        (known != Some(entries.index) && !entries.members.voters.is_empty())
            .then(|| (entries.index, entries.members.clone()))
    }

    /// The log index at which the members became so.
    pub(crate) fn index(&self) -> u64 {
        self.lock().index
    }

    /// The members.
    pub(crate) fn members(&self) -> Members {
        self.lock().members.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::types::{Member, Membership};

    #[test]
    fn an_id_that_has_left_stays_used() {
        let of = |nodes: &[u64]| {
            let voters = BTreeSet::from([nodes[0]]);
            let nodes: BTreeMap<_, _> = nodes.iter().map(|id| (*id, Member::default())).collect();
            StoredMembership::new(None, Membership::new(vec![voters], nodes).unwrap())
        };
        let roll = Roll::default();
        roll.enter(&of(&[1, 2]));
        roll.enter(&of(&[1, 3]));
        assert!(roll.is_removed(2));
        assert!(!roll.is_removed(1) && !roll.is_removed(3) && !roll.is_removed(4));
        assert_eq!(roll.used(), BTreeSet::from([1, 2, 3]));
    }
}
