//! A world of several participants: transactions over them, every message at any time, stores that
//! lag behind commits, reads, crashes. What happens next is drawn from a seed. The decision is
//! taken the moment all branches have voted, as the coordinator's record would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use triumvir_kv::{
    Age, Changes, Engine, Event, Intent, Key, LockMode, Operation, OperationResult, Operations,
    ReadStep, Refusal, Step, Value,
};
use triumvir_protocol::TxnId;

use crate::support::{Store, txn};

pub(crate) const SITES: usize = 3;

/// What a transaction does at each site; nothing at a site where it is not listed.
pub(crate) type Script = BTreeMap<usize, Vec<Operation>>;

/// Which faults a run has beside delay.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) crashes: usize,
    pub(crate) expiries: usize,
}

/// A transaction as its client sees it, over all its attempts.
struct Work {
    script: Script,
    age: Age,
    /// The attempt that is under way.
    attempt: Option<TxnId>,
    end: Option<End>,
}

#[derive(Clone, PartialEq, Debug)]
enum End {
    Committed,
    Refused,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Open,
    Commit,
    Abort,
}

struct Attempt {
    work: usize,
    fate: Fate,
    /// Sites that were not asked yet.
    unasked: BTreeSet<usize>,
    /// Sites that were asked, have not ended the branch, and have not heard the outcome.
    untold: BTreeSet<usize>,
    votes: BTreeMap<usize, Vec<OperationResult>>,
}

#[derive(Default)]
struct Site {
    engine: Engine,
    store: Store,
    /// Intents of branches that have voted and not ended, as bytes on the disk.
    journal: BTreeMap<TxnId, Vec<u8>>,
    /// Committed and not stored, in the order of the commits.
    unstored: VecDeque<(TxnId, Changes)>,
    /// Keys of the reads that wait, by reader.
    reads: BTreeMap<u64, BTreeSet<Key>>,
}

/// What a read saw when so many transactions had been committed.
pub(crate) struct Observation {
    pub(crate) site: usize,
    pub(crate) commits: usize,
    pub(crate) seen: BTreeMap<Key, Option<Value>>,
}

/// One committed transaction: what it did and what it was answered.
pub(crate) struct Commit {
    pub(crate) script: Script,
    pub(crate) results: BTreeMap<usize, Vec<OperationResult>>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Begin(usize),
    Ask(TxnId, usize),
    Tell(TxnId, usize),
    Store(usize),
    Advance(usize),
    Read(usize),
    Expire(TxnId, usize),
    Crash(usize),
}

pub(crate) struct World {
    works: Vec<Work>,
    attempts: BTreeMap<TxnId, Attempt>,
    sites: Vec<Site>,
    faults: Faults,
    reads_left: u64,
    ids: u128,
    draws: u64,
    pub(crate) commits: Vec<Commit>,
    pub(crate) observations: Vec<Observation>,
    /// How often wait-die refused, for the proof that schedules have conflicts at all.
    pub(crate) conflicts: usize,
    pub(crate) waits: usize,
}

impl World {
    pub(crate) fn new(scripts: Vec<Script>, faults: Faults, seed: u64) -> Self {
        let works = scripts.into_iter().enumerate().map(|(number, script)| {
            let age = Age(txn(1 + number as u128));
            Work {
                script,
                age,
                attempt: None,
                end: None,
            }
        });
        Self {
            works: works.collect(),
            attempts: BTreeMap::new(),
            sites: (0..SITES).map(|_| Site::default()).collect(),
            faults,
            reads_left: 6,
            ids: 1000,
            draws: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            commits: Vec::new(),
            observations: Vec::new(),
            conflicts: 0,
            waits: 0,
        }
    }

    /// Runs until nothing is left to do. Panics when transactions are left that cannot go on, or
    /// when they take implausibly long.
    pub(crate) fn run(&mut self) {
        for _ in 0..20_000 {
            let actions = self.actions();
            if actions
                .iter()
                .all(|action| matches!(action, Action::Advance(_)))
                && self.sites.iter().all(|site| site.engine.is_idle())
            {
                let open = self.works.iter().filter(|work| work.end.is_none()).count();
                assert_eq!(open, 0, "transactions were lost");
                return;
            }
            let drawn = self.draw() as usize % actions.len();
            self.act(actions[drawn]);
            self.check();
        }
        panic!("no progress: the schedule does not end");
    }

    pub(crate) fn stores(&self) -> Vec<Store> {
        self.sites.iter().map(|site| site.store.clone()).collect()
    }

    fn draw(&mut self) -> u64 {
        self.draws ^= self.draws << 13;
        self.draws ^= self.draws >> 7;
        self.draws ^= self.draws << 17;
        self.draws >> 11
    }

    fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (number, work) in self.works.iter().enumerate() {
            if work.attempt.is_none() && work.end.is_none() {
                actions.push(Action::Begin(number));
            }
        }
        for (id, attempt) in &self.attempts {
            let open = attempt.fate == Fate::Open;
            if open {
                actions.extend(attempt.unasked.iter().map(|site| Action::Ask(*id, *site)));
                if self.faults.expiries > 0 {
                    let waiting = attempt.untold.iter();
                    let waiting = waiting.filter(|site| !attempt.votes.contains_key(site));
                    actions.extend(waiting.map(|site| Action::Expire(*id, *site)));
                }
            } else {
                actions.extend(attempt.untold.iter().map(|site| Action::Tell(*id, *site)));
            }
        }
        for (number, site) in self.sites.iter().enumerate() {
            actions.push(Action::Advance(number));
            if !site.unstored.is_empty() {
                actions.push(Action::Store(number));
            }
            if self.reads_left > 0 {
                actions.push(Action::Read(number));
            }
            if self.faults.crashes > 0 {
                actions.push(Action::Crash(number));
            }
        }
        actions
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Begin(work) => self.begin(work),
            Action::Ask(id, site) => self.ask(id, site),
            Action::Tell(id, site) => self.tell(id, site),
            Action::Store(site) => {
                let site = &mut self.sites[site];
                let (id, changes) = site.unstored.pop_front().unwrap();
                changes.apply_to(&mut site.store);
                site.journal.remove(&id);
            }
            Action::Advance(site) => self.advance(site),
            Action::Read(site) => self.read(site),
            Action::Expire(id, site) => {
                if let Some(refusal) = self.sites[site].engine.on_wait_expired(id) {
                    self.faults.expiries -= 1;
                    self.refuse(id, site, &refusal);
                }
            }
            Action::Crash(site) => self.crash(site),
        }
    }

    /// A new attempt: a new id, the age of the first.
    fn begin(&mut self, number: usize) {
        self.ids += 1;
        let id = txn(self.ids);
        let work = &mut self.works[number];
        work.attempt = Some(id);
        let attempt = Attempt {
            work: number,
            fate: Fate::Open,
            unasked: work.script.keys().copied().collect(),
            untold: BTreeSet::new(),
            votes: BTreeMap::new(),
        };
        self.attempts.insert(id, attempt);
    }

    fn ask(&mut self, id: TxnId, number: usize) {
        let attempt = self.attempts.get_mut(&id).unwrap();
        attempt.unasked.remove(&number);
        attempt.untold.insert(number);
        let work = &self.works[attempt.work];
        let operations = Operations::new(work.script[&number].clone()).unwrap();
        let site = &mut self.sites[number];
        let step = site
            .engine
            .prepare(&site.store, id, work.age, operations)
            .unwrap();
        self.take(id, number, step);
    }

    fn take(&mut self, id: TxnId, number: usize, step: Step) {
        match step {
            Step::Prepared(prepared) => {
                self.sites[number]
                    .journal
                    .insert(id, prepared.intent.encode());
                let attempt = self.attempts.get_mut(&id).unwrap();
                attempt.votes.insert(number, prepared.results.to_vec());
                let work = &mut self.works[attempt.work];
                if attempt.fate == Fate::Open && attempt.votes.len() == work.script.len() {
                    attempt.fate = Fate::Commit;
                    work.end = Some(End::Committed);
                    let (script, results) = (work.script.clone(), attempt.votes.clone());
                    self.commits.push(Commit { script, results });
                }
            }
            Step::Refused(refusal) => self.refuse(id, number, &refusal),
            Step::Waiting => self.waits += 1,
            Step::Standing => panic!("{id} was asked twice"),
        }
    }

    /// The branch is gone at this site; the attempt aborts.
    fn refuse(&mut self, id: TxnId, number: usize, refusal: &Refusal) {
        if let Refusal::Conflict { holder, .. } = refusal {
            self.conflicts += 1;
            assert!(
                self.seniority(*holder) < self.seniority(id),
                "{id} died for a junior"
            );
        }
        self.fail(id, number, refusal.is_retryable());
    }

    fn fail(&mut self, id: TxnId, number: usize, retry: bool) {
        let attempt = self.attempts.get_mut(&id).unwrap();
        attempt.untold.remove(&number);
        if attempt.fate == Fate::Open {
            attempt.fate = Fate::Abort;
            attempt.unasked.clear();
            let work = &mut self.works[attempt.work];
            work.attempt = None;
            work.end = (!retry).then_some(End::Refused);
        }
    }

    fn tell(&mut self, id: TxnId, number: usize) {
        let attempt = self.attempts.get_mut(&id).unwrap();
        attempt.untold.remove(&number);
        let site = &mut self.sites[number];
        if attempt.fate == Fate::Abort {
            site.engine.abort(id);
            site.journal.remove(&id);
            return;
        }
        let changes = site.engine.commit(id).expect("a branch that voted stands");
        assert_eq!(site.engine.commit(id).unwrap_or_default(), changes);
        if changes.is_empty() {
            site.journal.remove(&id);
        } else {
            site.unstored.push_back((id, changes));
        }
    }

    fn advance(&mut self, number: usize) {
        let site = &mut self.sites[number];
        let mut events = Vec::new();
        site.engine.advance(&site.store, &mut events).unwrap();
        for event in events {
            match event {
                Event::Read { reader } => {
                    let keys = self.sites[number].reads.remove(&reader).unwrap();
                    self.observe(number, keys);
                }
                Event::Branch { txn, step } => {
                    assert_ne!(step, Step::Waiting);
                    self.take(txn, number, step);
                }
            }
        }
    }

    fn read(&mut self, number: usize) {
        let reader = self.reads_left;
        self.reads_left -= 1;
        let count = 1 + self.draw() as usize % 3;
        let keys: BTreeSet<_> = KEYS
            .iter()
            .take(count)
            .map(|name| Key::from(*name))
            .collect();
        let site = &mut self.sites[number];
        match site.engine.read(reader, keys.clone()) {
            ReadStep::Ready => self.observe(number, keys),
            ReadStep::Waiting => {
                site.reads.insert(reader, keys);
            }
        }
    }

    fn observe(&mut self, site: usize, keys: BTreeSet<Key>) {
        let store = &self.sites[site].store;
        let seen = keys
            .into_iter()
            .map(|key| (key.clone(), store.get(&key).cloned()))
            .collect();
        self.observations.push(Observation {
            site,
            commits: self.commits.len(),
            seen,
        });
    }

    /// What was volatile is gone: waiting branches, reads, commits that were not stored. What was
    /// told but not stored is told again.
    fn crash(&mut self, number: usize) {
        self.faults.crashes -= 1;
        let site = &mut self.sites[number];
        site.engine = Engine::new();
        site.unstored.clear();
        site.reads.clear();
        for (id, bytes) in &site.journal {
            site.engine
                .recover(*id, Intent::decode(bytes).unwrap())
                .unwrap();
            self.attempts.get_mut(id).unwrap().untold.insert(number);
        }
        let journal = &site.journal;
        let lost = self.attempts.iter().filter_map(|(id, attempt)| {
            (attempt.untold.contains(&number) && !journal.contains_key(id)).then_some(*id)
        });
        for id in lost.collect::<Vec<_>>() {
            self.fail(id, number, true);
        }
    }

    fn seniority(&self, id: TxnId) -> (Age, TxnId) {
        (self.works[self.attempts[&id].work].age, id)
    }

    /// The mode in which an attempt locks a key at a site.
    fn mode(&self, id: TxnId, site: usize, key: &Key) -> LockMode {
        let script = &self.works[self.attempts[&id].work].script[&site];
        let operations = script.iter().filter(|operation| operation.key() == key);
        operations
            .map(Operation::lock_mode)
            .max()
            .expect("nobody claims a key it does not name")
    }

    /// What holds after every action: holders do not conflict, everyone waits for juniors only, and
    /// whoever has voted holds all its locks.
    fn check(&self) {
        for (number, site) in self.sites.iter().enumerate() {
            let mut held = BTreeSet::new();
            for view in site.engine.locks() {
                let mode = |id: TxnId| self.mode(id, number, view.key);
                let queue: Vec<_> = view.holders.iter().chain(&view.waiters).copied().collect();
                for (place, later) in queue.iter().enumerate() {
                    for earlier in &queue[..place] {
                        if mode(*later).conflicts_with(mode(*earlier)) {
                            assert!(place >= view.holders.len(), "conflicting holders");
                            assert!(
                                self.seniority(*later) < self.seniority(*earlier),
                                "{later} waits for its elder {earlier}"
                            );
                        }
                    }
                }
                held.extend(view.holders.iter().map(|id| (*id, view.key.clone())));
            }
            for id in site
                .journal
                .keys()
                .filter(|id| self.attempts[id].untold.contains(&number))
            {
                for operation in &self.works[self.attempts[id].work].script[&number] {
                    let lock = (*id, operation.key().clone());
                    assert!(held.contains(&lock), "{id} voted and lost a lock");
                }
            }
        }
    }
}

/// The keys of a site: few, so that transactions meet.
pub(crate) const KEYS: [&str; 3] = ["a", "b", "c"];
