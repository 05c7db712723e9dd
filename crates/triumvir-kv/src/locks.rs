//! The lock table: per key, the claims in the order in which they came. It knows nothing of
//! operations, votes or storage. The argument that rests on it is in the docs of
//! [`Engine`](crate::Engine).

use std::collections::{BTreeMap, BTreeSet};

use crate::Key;
use crate::age::Seniority;
use triumvir_protocol::TxnId;

/// How a key is locked. The order is strength.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LockMode {
    /// To read. Several transactions may hold it at once.
    Shared,
    /// To change. Nobody else holds anything.
    Exclusive,
}

impl LockMode {
    /// Whether two transactions cannot hold these on one key at once.
    pub fn conflicts_with(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

/// The locks of one branch.
pub type LockSet = BTreeMap<Key, LockMode>;

/// One locked key, for inspection.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LockView<'a> {
    /// The key.
    pub key: &'a Key,
    /// How it is held.
    pub mode: LockMode,
    /// Who holds it, in order of arrival: exactly one if the mode is exclusive.
    pub holders: Vec<TxnId>,
    /// Who waits for it, in the order in which they will hold it.
    pub waiters: Vec<TxnId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Claim {
    by: Seniority,
    mode: LockMode,
}

/// Claims on keys. A claim is held once no claim before it conflicts with it; since only what is
/// before a claim can conflict with it, the held ones are a prefix of each queue.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct LockTable {
    queues: BTreeMap<Key, Vec<Claim>>,
}

impl LockTable {
    /// The first conflicting claim of anyone older than `by`, in key order: by wait-die, `by` dies.
    pub(crate) fn elder(&self, by: Seniority, locks: &LockSet) -> Option<(Key, TxnId)> {
        locks.iter().find_map(|(key, mode)| {
            let mut queue = self.queues.get(key).into_iter().flatten();
            let elder = queue.find(|claim| claim.mode.conflicts_with(*mode) && claim.by < by)?;
            Some((key.clone(), elder.by.txn))
        })
    }

    /// The first claim, in key order, that `txn` waits for; before it has claimed: would wait for.
    pub(crate) fn obstacle(&self, txn: TxnId, locks: &LockSet) -> Option<(Key, TxnId)> {
        locks.iter().find_map(|(key, mode)| {
            let queue = self.queues.get(key).into_iter().flatten();
            let mut ahead = queue.take_while(|claim| claim.by.txn != txn);
            let obstacle = ahead.find(|claim| claim.mode.conflicts_with(*mode))?;
            Some((key.clone(), obstacle.by.txn))
        })
    }

    /// Puts a claim at the end of the queue of every key in `locks`, all in one step.
    pub(crate) fn claim(&mut self, by: Seniority, locks: &LockSet) {
        for (key, mode) in locks {
            self.queues
                .entry(key.clone())
                .or_default()
                .push(Claim { by, mode: *mode });
        }
    }

    /// Takes back every claim of `txn`, which had claimed `locks`. Returns who holds one of these
    /// keys now.
    pub(crate) fn withdraw(&mut self, txn: TxnId, locks: &LockSet) -> BTreeSet<TxnId> {
        let mut holders = BTreeSet::new();
        for key in locks.keys() {
            let Some(queue) = self.queues.get_mut(key) else {
                continue;
            };
            queue.retain(|claim| claim.by.txn != txn);
            holders.extend(queue[..held(queue)].iter().map(|claim| claim.by.txn));
            if queue.is_empty() {
                self.queues.remove(key);
            }
        }
        holders
    }

    /// Who holds `key` exclusively.
    pub(crate) fn exclusive_holder(&self, key: &Key) -> Option<TxnId> {
        let first = self.queues.get(key)?.first()?;
        (first.mode == LockMode::Exclusive).then_some(first.by.txn)
    }

    /// Every claimed key, in order.
    pub(crate) fn views(&self) -> impl Iterator<Item = LockView<'_>> {
        self.queues.iter().filter_map(|(key, queue)| {
            let mode = queue.first()?.mode;
            let (holders, waiters) = queue.split_at(held(queue));
            let txns = |claims: &[Claim]| claims.iter().map(|claim| claim.by.txn).collect();
            Some(LockView {
                key,
                mode,
                holders: txns(holders),
                waiters: txns(waiters),
            })
        })
    }
}

/// How many claims at the front of `queue` are held: one exclusive, or all shared ones up to the
/// first exclusive.
fn held(queue: &[Claim]) -> usize {
    match queue.first() {
        None => 0,
        Some(first) if first.mode == LockMode::Exclusive => 1,
        Some(_) => queue
            .iter()
            .take_while(|claim| claim.mode == LockMode::Shared)
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Age;

    fn by(number: u128) -> Seniority {
        let txn = TxnId::from_u128(number);
        Seniority { age: Age(txn), txn }
    }

    fn locks(mode: LockMode) -> LockSet {
        LockSet::from([("k".into(), mode)])
    }

    fn table(claims: &[(u128, LockMode)]) -> LockTable {
        let mut table = LockTable::default();
        for (number, mode) in claims {
            table.claim(by(*number), &locks(*mode));
        }
        table
    }

    #[test]
    fn shared_claims_behind_an_exclusive_one_are_not_held() {
        use LockMode::{Exclusive, Shared};
        let table = table(&[(5, Shared), (4, Shared), (3, Exclusive), (2, Shared)]);
        let view = table.views().next().unwrap();
        assert_eq!(view.mode, Shared);
        assert_eq!(view.holders, [5, 4].map(TxnId::from_u128));
        assert_eq!(view.waiters, [3, 2].map(TxnId::from_u128));
        assert_eq!(table.exclusive_holder(&"k".into()), None);
    }

    #[test]
    fn withdrawing_names_the_new_holders() {
        use LockMode::{Exclusive, Shared};
        let mut table = table(&[(5, Exclusive), (4, Shared), (3, Shared), (2, Exclusive)]);
        assert_eq!(
            table.exclusive_holder(&"k".into()),
            Some(TxnId::from_u128(5))
        );
        let holders = table.withdraw(TxnId::from_u128(5), &locks(Exclusive));
        assert_eq!(holders, BTreeSet::from([3, 4].map(TxnId::from_u128)));
        table.withdraw(TxnId::from_u128(4), &locks(Shared));
        table.withdraw(TxnId::from_u128(3), &locks(Shared));
        table.withdraw(TxnId::from_u128(2), &locks(Exclusive));
        assert_eq!(table, LockTable::default());
    }

    #[test]
    fn an_elder_in_the_queue_counts_like_a_holder() {
        use LockMode::{Exclusive, Shared};
        let table = table(&[(5, Shared), (3, Exclusive)]);
        let elder = |number, mode| table.elder(by(number), &locks(mode)).map(|(_, txn)| txn);
        assert_eq!(elder(4, Shared), Some(TxnId::from_u128(3)));
        assert_eq!(elder(2, Shared), None);
        assert_eq!(elder(6, Exclusive), Some(TxnId::from_u128(5)));
        let obstacle = table.obstacle(TxnId::from_u128(2), &locks(Shared));
        assert_eq!(obstacle, Some(("k".into(), TxnId::from_u128(3))));
    }
}
