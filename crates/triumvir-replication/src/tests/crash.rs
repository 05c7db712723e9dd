//! Power loss under the log store. Whatever was submitted forms one sequence; after a crash the
//! disk must hold exactly what some prefix of it made, and that prefix must contain everything that
//! was acknowledged.

use bytes::Bytes;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt as _;
use openraft::type_config::alias::OneshotReceiverOf;
use openraft::{EntryPayload, RaftLogReader};
use triumvir_storage::power_loss::{Disk, Power, Random};
use triumvir_storage::{Database, Limits, Options, Writer};

use crate::log_store::LogStore;
use crate::types::{Data, Entry, LeaderId, LogId, TypeConfig, Vote};

const SEEDS: u64 = 100;
const STEPS: u64 = 60;

type Flushed = OneshotReceiverOf<TypeConfig, Result<(), std::io::Error>>;

/// What the log store holds.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: Vec<Entry>,
}

impl Model {
    async fn read(store: &mut LogStore) -> Self {
        let mut reader = store.get_log_reader().await;
        Self {
            vote: reader.read_vote().await.unwrap(),
            committed: store.read_committed().await.unwrap(),
            purged: store.get_log_state().await.unwrap().last_purged_log_id,
            entries: reader.try_get_log_entries(..).await.unwrap(),
        }
    }

    fn last(&self) -> Option<LogId> {
        self.entries
            .last()
            .map(|entry| entry.log_id)
            .or(self.purged)
    }
}

/// A run of random operations until the power goes.
struct Run {
    store: LogStore,
    random: Random,
    term: u64,
    /// The model after each submitted operation; the first is what was there before.
    history: Vec<Model>,
    /// Appends in flight: the length of `history` once each was submitted.
    flights: Vec<(usize, Flushed)>,
    /// The length of the prefix that must have survived.
    acknowledged: usize,
}

impl Run {
    async fn step(&mut self) -> bool {
        let mut model = self.history.last().unwrap().clone();
        let result = match self.random.below(10) {
            0 => {
                self.term += 1;
                let vote = Vote::new(self.term, self.random.below(3));
                model.vote = Some(vote);
                // Submitted before it is awaited: it may survive also when it fails.
                self.history.push(model);
                let saved = self.store.save_vote(&vote).await;
                if saved.is_ok() {
                    self.acknowledged = self.history.len();
                }
                return saved.is_ok();
            }
            1 if !model.entries.is_empty() => {
                let kept = self.random.below(model.entries.len() as u64) as usize;
                let after = match kept {
                    0 => model.purged,
                    kept => Some(model.entries[kept - 1].log_id),
                };
                model.entries.truncate(kept);
                self.store.truncate_after(after).await
            }
            2 if !model.entries.is_empty() => {
                let gone = self.random.below(model.entries.len() as u64) as usize;
                let upto = model.entries[gone].log_id;
                model.entries.drain(..=gone);
                model.purged = Some(upto);
                self.store.purge(upto).await
            }
            3 => {
                model.committed = model.last();
                self.store.save_committed(model.committed).await
            }
            _ => {
                let added = self.entries(&model);
                model.entries.extend(added.iter().cloned());
                let (sender, flushed) = TypeConfig::oneshot();
                self.flights.push((self.history.len() + 1, flushed));
                self.store.append(added, IOFlushed::signal(sender)).await
            }
        };
        self.history.push(model);
        result.is_ok()
    }

    fn entries(&mut self, model: &Model) -> Vec<Entry> {
        let first = model.last().map_or(0, |last| last.index + 1);
        let count = 1 + self.random.below(20);
        let size = self.random.below(2000) as usize;
        let leader_id = LeaderId {
            term: self.term,
            node_id: 1,
        };
        (first..first + count)
            .map(|index| {
                let data = Bytes::from(vec![index as u8; size]);
                let payload = EntryPayload::Normal(Data(data));
                Entry {
                    log_id: LogId { leader_id, index },
                    payload,
                }
            })
            .collect()
    }

    /// Takes note of the answers that have come so far.
    fn collect(&mut self) {
        for (length, flushed) in &mut self.flights {
            if let Ok(Ok(())) = flushed.try_recv() {
                self.acknowledged = self.acknowledged.max(*length);
            }
        }
    }
}

/// The database's file, and the two of its write-ahead log.
type Disks = [Disk; 3];

fn open([main, log, other]: Disks) -> (Database, Writer, LogStore) {
    // A small log, so that it is gone through many times.
    let options = Options {
        log_bytes: 256 << 10,
        ..Options::default()
    };
    let database = Database::open_ahead_on(main, [log, other], &options).unwrap();
    let writer = Writer::start(&database, Limits::default());
    let store = LogStore::open(&database, writer.clone()).unwrap();
    (database, writer, store)
}

#[tokio::test]
async fn what_was_acknowledged_survives_power_loss() {
    let mut acknowledged = 0;
    let mut lost = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed + 1);
        // Three lives on one platter; the first creates the database and is not cut short.
        let power = Power::new(u64::MAX);
        let disks = [(); 3].map(|()| power.disk(Vec::new()));
        drop(open(disks.clone()));
        let mut contents = disks.map(|disk| disk.platter(&mut random));
        for _ in 0..3 {
            let power = Power::new(60 + random.below(900));
            let disks = contents.map(|content| power.disk(content));
            let (database, writer, mut store) = open(disks.clone());
            let before = Model::read(&mut store).await;
            let term = before.vote.map_or(1, |vote| vote.leader_id.term);
            let term = term.max(before.last().map_or(1, |last| last.leader_id.term));
            let mut run = Run {
                store,
                random: random.clone(),
                term,
                history: vec![before],
                flights: Vec::new(),
                acknowledged: 1,
            };
            for _ in 0..STEPS {
                let alive = run.step().await;
                run.collect();
                if !alive {
                    break;
                }
            }
            // Nothing is flushed on purpose: the power goes now, at the latest.
            random = run.random.clone();
            power.cut();
            contents = disks.map(|disk| disk.platter(&mut random));
            writer.shutdown();
            run.collect();
            drop((database, writer));

            let power = Power::new(u64::MAX);
            let (.., mut store) = open(contents.clone().map(|content| power.disk(content)));
            let found = Model::read(&mut store).await;
            let must = run.acknowledged - 1;
            let survived = run.history[must..].contains(&found);
            assert!(
                survived,
                "seed {seed}: {} submitted, {must} acknowledged, found {found:#?}\nwanted {:#?}",
                run.history.len() - 1,
                run.history[must],
            );
            acknowledged += must;
            lost += usize::from(*run.history.last().unwrap() != found);
        }
    }
    // The test must have tested something: writes were acknowledged, and some others were lost.
    assert!(acknowledged > 1000, "{acknowledged}");
    assert!(lost > 10, "{lost}");
}
