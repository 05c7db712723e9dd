//! `triumvir kv`: what a key-value participant has stored.

use std::process::ExitCode;

use serde::Serialize;
use tokio_stream::StreamExt as _;
use triumvir_client::{Client, Code, Entry, KvReader, StatusResponse};

use crate::cli::Globals;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::paint::Tone;
use crate::spec::{Literal, key_json, key_text, unescape};

pub(crate) const HELP: &str = "\
Reads wait for keys whose transaction is not decided, as long as --timeout says.
Keys are written as in `triumvir commit --help`; values are shown as what stands
behind := there: \"text\", a number, or 0x… for other bytes.

Examples:
  triumvir kv get --at orders 42 43
  triumvir kv scan --at stock --prefix book/ --limit 10
  triumvir kv locks --at payments
  triumvir kv get --at 127.0.0.1:7421 42        (asks that address, no coordinator)";

/// What to read.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum KvCommand {
    /// Read keys
    #[command(after_help = HELP)]
    Get(GetArgs),
    /// Read all keys with a prefix, in order
    #[command(after_help = HELP)]
    Scan(ScanArgs),
    /// Show the locks that are held now
    #[command(after_help = HELP)]
    Locks(At),
}

/// Which participant.
#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// Participant, by its name; or by its address, HOST:PORT
    #[arg(long, value_name = "PARTICIPANT")]
    at: String,
}

/// Arguments of `triumvir kv get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    at: At,
    /// Keys
    #[arg(required = true, value_name = "KEY", value_parser = unescape_argument)]
    keys: Vec<KeyBytes>,
}

/// Arguments of `triumvir kv scan`.
#[derive(Debug, clap::Args)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    at: At,
    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", default_value = "", value_parser = unescape_argument)]
    prefix: KeyBytes,
    /// At most so many; all of them if it is not given
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// A key, as one argument.
#[derive(Clone, Debug)]
pub(crate) struct KeyBytes(Vec<u8>);

fn unescape_argument(text: &str) -> Result<KeyBytes, String> {
    unescape(text).map(KeyBytes)
}

#[derive(Debug, Serialize)]
struct Read {
    participant: String,
    values: Vec<Pair>,
}

#[derive(Debug, Serialize)]
struct Pair {
    key: serde_json::Value,
    #[serde(skip)]
    text: String,
    /// Null: the key is absent.
    value: Option<Literal>,
}

#[derive(Debug, Serialize)]
struct LockList {
    participant: String,
    locks: Vec<LockView>,
}

#[derive(Debug, Serialize)]
struct LockView {
    key: serde_json::Value,
    #[serde(skip)]
    text: String,
    txn: String,
    mode: &'static str,
    waiters: u64,
}

/// Reads.
///
/// # Errors
///
/// The participant is not known or cannot be asked.
pub(crate) async fn run(
    command: &KvCommand,
    globals: &Globals,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    match command {
        KvCommand::Get(args) => get(args, globals, output).await?,
        KvCommand::Scan(args) => scan(args, globals, output).await?,
        KvCommand::Locks(at) => locks(at, globals, output).await?,
    }
    Ok(Exit::Ok.into())
}

async fn get(args: &GetArgs, globals: &Globals, output: &Output) -> anyhow::Result<()> {
    let reader = reader(&args.at, globals).await?;
    let keys = || args.keys.iter().map(|key| &key.0);
    let values = reader.get(keys()).await.map_err(Failure::from)?;
    let pairs = keys()
        .zip(values)
        .map(|(key, value)| Pair::new(key, value.map(Literal::from)));
    let read = Read {
        participant: args.at.at.clone(),
        values: pairs.collect(),
    };
    output.show(&read, || {
        let mut table = output.table(["key", "value"]);
        for pair in &read.values {
            let key = comfy_table::Cell::new(&pair.text);
            let value = match &pair.value {
                Some(value) => comfy_table::Cell::new(value),
                None => Tone::Faint.cell("absent"),
            };
            table.add_row([key, value]);
        }
        table.trim_fmt()
    })?;
    Ok(())
}

async fn scan(args: &ScanArgs, globals: &Globals, output: &Output) -> anyhow::Result<()> {
    let reader = reader(&args.at, globals).await?;
    let mut entries = reader
        .scan(&args.prefix.0)
        .take(args.limit.unwrap_or(usize::MAX));
    while let Some(entry) = entries.next().await {
        let Entry { key, value } = entry.map_err(Failure::from)?;
        let pair = Pair::new(&key, Some(value.into()));
        output.event(&pair, || match &pair.value {
            Some(value) => format!("{}\t{value}", pair.text),
            None => pair.text.clone(),
        })?;
        if output.is_closed() {
            break;
        }
    }
    Ok(())
}

async fn locks(at: &At, globals: &Globals, output: &Output) -> anyhow::Result<()> {
    let locks = reader(at, globals)
        .await?
        .locks()
        .await
        .map_err(Failure::from)?;
    let locks = locks.into_iter().map(|lock| LockView {
        key: key_json(&lock.key),
        text: key_text(&lock.key),
        txn: lock.txn.to_string(),
        mode: if lock.exclusive {
            "exclusive"
        } else {
            "shared"
        },
        waiters: lock.waiters,
    });
    let list = LockList {
        participant: at.at.clone(),
        locks: locks.collect(),
    };
    output.show(&list, || {
        if list.locks.is_empty() {
            return "no locks are held".to_owned();
        }
        let mut table = output.table(["key", "mode", "transaction", "waiters"]);
        for lock in &list.locks {
            table.add_row([&lock.text, lock.mode, &lock.txn, &lock.waiters.to_string()]);
        }
        super::fixed(table, &[2]).trim_fmt()
    })?;
    Ok(())
}

impl Pair {
    fn new(key: &[u8], value: Option<Literal>) -> Self {
        Self {
            key: key_json(key),
            text: key_text(key),
            value,
        }
    }
}

/// A reader of the participant: its address as it is given, or as the cluster knows it.
async fn reader(at: &At, globals: &Globals) -> Result<KvReader, Failure> {
    let client = super::client(globals)?;
    let address = if at.at.contains(':') {
        at.at.clone()
    } else {
        address(&client, &at.at).await?
    };
    Ok(client.kv(address)?)
}

async fn address(client: &Client, name: &str) -> Result<String, Failure> {
    let mut failure = None;
    let mut newest: Option<StatusResponse> = None;
    for replica in client.status().await {
        match replica.status {
            Ok(status)
                if newest
                    .as_ref()
                    .is_none_or(|known| known.applied < status.applied) =>
            {
                newest = Some(status);
            }
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    let Some(status) = newest else {
        let failure = failure.unwrap_or_else(|| Code::Unreachable.into());
        return Err(Failure::from(failure)
            .next("start the coordinators, or give --at the participant's address as HOST:PORT"));
    };
    let live = || {
        status
            .participants
            .iter()
            .filter(|participant| !participant.replaced && !participant.removed)
    };
    match live().find(|participant| participant.name == name) {
        Some(participant) => Ok(participant.address.clone()),
        None => {
            let mut names: Vec<_> = live()
                .map(|participant| participant.name.as_str())
                .collect();
            names.sort_unstable();
            let message = format!("no participant is called {name}");
            let next = format!("participants that exist: {}", names.join(", "));
            Err(Failure::coded(Exit::Refused, Code::UnknownParticipant, message).next(next))
        }
    }
}
