//! A resource that sells tickets: a branch takes a number of seats out of what is left.
//!
//! It keeps its tables in the participant's own database, so that its changes and the journal's
//! records are made durable by one and the same commit.

use std::collections::HashMap;
use std::sync::Mutex;

use redb::TableDefinition;
use triumvir_participant::{
    BranchId, Config, DataFolder, Database, Payload, Prepared, Recovered, Refusal, Resource,
    ResourceError, Runtime, TxnId, Write,
};

const LEFT: TableDefinition<'_, (), u64> = TableDefinition::new("tickets_left");
const HELD: TableDefinition<'_, u128, u64> = TableDefinition::new("tickets_held");

struct Tickets {
    database: Database,
    seats: Mutex<Seats>,
}

struct Seats {
    /// Not sold, and not held by a branch either.
    left: u64,
    /// What each prepared branch holds: its lock and its change in one.
    held: HashMap<TxnId, u64>,
}

impl Tickets {
    fn new(database: Database, seats: u64) -> Self {
        let seats = Seats {
            left: seats,
            held: HashMap::new(),
        };
        Self {
            database,
            seats: Mutex::new(seats),
        }
    }

    /// Ends a branch. `None`: it had ended before.
    fn take(&self, txn: TxnId, back: bool) -> Option<u64> {
        let mut seats = self.seats.lock().expect("nobody panics with the lock");
        let held = seats.held.remove(&txn)?;
        if back {
            seats.left += held;
        }
        Some(held)
    }
}

impl Resource for Tickets {
    async fn recover(&self, live: Vec<Recovered>) -> Result<Option<Write>, ResourceError> {
        let read = self.database.read().map_err(ResourceError::new)?;
        let mut seats = self.seats.lock().expect("nobody panics with the lock");
        if let Ok(table) = read.open_table(LEFT)
            && let Some(left) = table.get(()).map_err(ResourceError::new)?
        {
            seats.left = left.value();
        }
        for Recovered { branch, .. } in live {
            let table = read.open_table(HELD).map_err(ResourceError::new)?;
            let held = table
                .get(branch.txn.as_u128())
                .map_err(ResourceError::new)?;
            let held = held.ok_or_else(|| ResourceError::new("a prepared branch is missing"))?;
            seats.left -= held.value();
            seats.held.insert(branch.txn, held.value());
        }
        Ok(None)
    }

    async fn prepare(&self, branch: BranchId, work: Payload) -> Result<Prepared, Refusal> {
        let text = std::str::from_utf8(&work).ok();
        let wanted: u64 = text
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Refusal::new("malformed", "the work must be a number"))?;
        let mut seats = self.seats.lock().expect("nobody panics with the lock");
        if seats.left < wanted {
            return Err(Refusal::new(
                "sold-out",
                format!("{} seats are left", seats.left),
            ));
        }
        seats.left -= wanted;
        seats.held.insert(branch.txn, wanted);
        let write = Write::new(32, move |write| {
            write
                .open_table(HELD)?
                .insert(branch.txn.as_u128(), wanted)?;
            Ok(())
        });
        Ok(Prepared::Yes {
            results: Payload::from([]),
            write: Some(write),
        })
    }

    async fn commit(&self, txn: TxnId) -> Result<Option<Write>, ResourceError> {
        let Some(sold) = self.take(txn, false) else {
            return Ok(None);
        };
        let total = {
            let seats = self.seats.lock().expect("nobody panics with the lock");
            seats.left + seats.held.values().sum::<u64>()
        };
        Ok(Some(Write::new(64, move |write| {
            // A running total, so that it does not matter how often it was written before.
            let before = write
                .open_table(LEFT)?
                .insert((), total)?
                .map(|left| left.value());
            debug_assert!(before.is_none_or(|before| before >= total + sold));
            write.open_table(HELD)?.remove(txn.as_u128())?;
            Ok(())
        })))
    }

    async fn abort(&self, txn: TxnId) -> Result<Option<Write>, ResourceError> {
        self.take(txn, true);
        Ok(Some(Write::new(32, move |write| {
            write.open_table(HELD)?.remove(txn.as_u128())?;
            Ok(())
        })))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config {
        name: "tickets".to_owned(),
        coordinators: vec!["127.0.0.1:7101".to_owned(), "127.0.0.1:7102".to_owned()],
        data: "tickets-data".into(),
        ..Config::default()
    };
    let folder = DataFolder::open(&config)?;
    let tickets = Tickets::new(folder.database().clone(), 1_000);
    let runtime = Runtime::builder(config, folder, tickets).build().await?;
    runtime.run(std::future::pending()).await?;
    Ok(())
}
