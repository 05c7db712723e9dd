//! `triumvir demo`: three replicas and three participants as processes of their own, real purchases
//! replayed through them while the leader and a participant are killed, and an audit of the stores.
//!
//! This file only says in which order things happen. The audit is pure and knows nothing of processes.

mod audit;
mod books;
mod faults;
mod ledger;
mod meter;
mod orders;
mod progress;
mod purchase;
mod reading;
mod replay;
mod report;
mod sabotage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use triumvir_client::Client;
use triumvir_testkit::{Cluster, ClusterConfig};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::process::Signals;
use audit::{Evidence, audit};
use books::Store;
use faults::{Fault, outages};
use meter::Meter;
use orders::Order;
use progress::Progress;
use purchase::Ended;
use reading::Stores;
use replay::Replayed;
use report::{Latency, Report};

pub(crate) const HELP: &str = "\
The shipped orders are 7,000 purchases at the CD shop CDNOW in January 1997, from the
data set that Peter Fader and Bruce Hardie published for research. One transaction per
purchase puts the order into `orders`, takes its pieces from the stock in `inventory`,
never below 0, and adds its amount to the customer's balance in `payments`. Exit status
0 only if the audit holds.

Examples:
  triumvir demo
  triumvir demo --rows 1000 --clients 64 --keep
  triumvir demo --orders purchases.csv --output json";

/// Calls of the audit and of everything else that is not an order.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Arguments of `triumvir demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Orders to replay instead of the shipped ones: CSV with customer,date,quantity,cents
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Replay only so many orders, the first by date
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rows: Option<u32>,
    /// Orders under way at any time
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Stock only half of the pieces that are ordered of the N most wanted products, so that orders
    /// are refused
    #[arg(long, value_name = "N", default_value_t = 0)]
    scarce: usize,
    /// Kill nothing
    #[arg(long)]
    no_kill: bool,
    /// Keep folders and logs of all processes
    #[arg(long)]
    keep: bool,
    /// Where the temporary folder is made
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Break a store before the audit, to see the audit fail
    #[arg(long, value_enum, value_name = "STORE", hide = true)]
    sabotage: Option<Store>,
}

/// Runs the demo.
///
/// # Errors
///
/// The orders cannot be read, a process cannot be started or ended by itself, or the cluster did not
/// do its work. An audit that does not hold is no error but an exit status.
pub(crate) async fn run(args: &Args, output: &Output) -> anyhow::Result<ExitCode> {
    let orders = read_orders(args)?;
    let mut signals = Signals::new()?;
    tokio::select! {
        report = play(args, &orders, output) => {
            let report = report?;
            output.show(&report, || format!("\n{}", report.text(output)))?;
            let exit = if report.sound { Exit::Ok } else { Exit::Check };
            Ok(exit.into())
        }
        signal = signals.next() => {
            let message = format!("ended by {signal}, with every process that was started");
            Err(Failure::new(Exit::Internal, message).into())
        }
    }
}

fn read_orders(args: &Args) -> anyhow::Result<Vec<Order>> {
    let orders = match &args.orders {
        Some(path) => orders::from_file(path),
        None => orders::shipped(),
    };
    let mut orders = orders.map_err(|error| Failure::usage(chain(&error)))?;
    if let Some(rows) = args.rows {
        orders.truncate(rows as usize);
    }
    Ok(orders)
}

async fn play(args: &Args, orders: &[Order], output: &Output) -> anyhow::Result<Report> {
    let mut cluster = start(args, output).await?;
    let played = play_on(args, orders, &mut cluster, output).await;
    if !played.as_ref().is_ok_and(|report| report.sound) {
        cluster.keep();
        output.note(format!(
            "folders and logs are kept: {}",
            cluster.folder().display()
        ));
    }
    played
}

async fn start(args: &Args, output: &Output) -> anyhow::Result<Cluster> {
    let binary = std::env::current_exe().context("finding the program itself")?;
    let mut config = ClusterConfig::new(binary).with_participants(Store::ALL.map(Store::name));
    config.name = "demo".to_owned();
    config.keep = args.keep;
    config.parent = args.dir.clone();
    let cluster = Cluster::start(config).await?;
    let mut table = output.table(["process", "grpc", "http", "pid"]);
    for seat in cluster.seats() {
        table.add_row([
            seat.who().to_string(),
            seat.address().to_string(),
            seat.http_address().to_string(),
            seat.pid().map(|pid| pid.to_string()).unwrap_or_default(),
        ]);
    }
    output.say(format!("{table}\n\n"))?;
    Ok(cluster)
}

async fn play_on(
    args: &Args,
    orders: &[Order],
    cluster: &mut Cluster,
    output: &Output,
) -> anyhow::Result<Report> {
    let addresses = cluster
        .coordinators()
        .into_iter()
        .map(|address| address.to_string());
    let client = Client::builder()
        .coordinators(addresses)
        .timeout(CALL_TIMEOUT)
        .build()?;
    let initial = initial_stock(orders, args.scarce);
    let stock: Vec<_> = initial
        .iter()
        .map(|(product, pieces)| (*product, *pieces))
        .collect();
    replay::stock(&client, &stock).await?;
    output.say(format!(
        "{} products in stock; {} orders follow\n\n",
        stock.len(),
        orders.len()
    ))?;

    let meter = Meter::new();
    let progress = Progress::new(output, orders.len() as u64);
    let replayed = replay_under_fire(args, orders, cluster, &client, &meter, &progress).await;
    let took = meter.elapsed();
    progress.finish();
    let (mut replayed, faults) = replayed?;

    cluster.wait_ready().await?;
    replay::resolve(&client, &mut replayed).await?;
    if let Some(store) = args.sabotage {
        let stray = sabotage::stray(&client, store, orders);
        let ended = purchase::settle(&stray, &meter).await?;
        anyhow::ensure!(ended == Ended::Committed, "the sabotage ended as {ended:?}");
    }
    let books = Stores::new(&client, cluster)?.read(cluster).await?;
    let ledger = &replayed.ledger;
    let audit = audit(Evidence {
        orders,
        ledger,
        initial: &initial,
        books: &books,
    });
    let counts = ledger.counts();
    Ok(Report {
        sound: audit.iter().all(audit::Check::holds),
        orders: orders.len(),
        clients: args.clients.into(),
        outcomes: counts,
        detours: meter.detours(),
        replay_millis: faults::millis(took),
        orders_per_second: counts.committed as f64 / took.as_secs_f64().max(f64::EPSILON),
        latency_millis: Latency::of(&meter),
        outages: outages(&faults, &meter.moments()),
        audit,
        sabotaged: args.sabotage,
        folder: args.keep.then(|| cluster.folder().display().to_string()),
    })
}

/// Enough of everything that is ordered, but half of the most wanted products.
fn initial_stock(orders: &[Order], scarce: usize) -> std::collections::BTreeMap<i64, i64> {
    let mut stock = orders::demand(orders);
    let mut by_demand: Vec<_> = stock
        .iter()
        .map(|(product, pieces)| (*pieces, *product))
        .collect();
    by_demand.sort_unstable_by(|left, right| right.cmp(left));
    for (pieces, product) in by_demand.into_iter().take(scarce) {
        stock.insert(product, pieces / 2);
    }
    stock
}

async fn replay_under_fire(
    args: &Args,
    orders: &[Order],
    cluster: &mut Cluster,
    client: &Client,
    meter: &Meter,
    progress: &Progress<'_>,
) -> anyhow::Result<(Replayed, Vec<Fault>)> {
    let replay = replay::replay(client, orders, args.clients.into(), meter);
    let faults = async {
        if args.no_kill {
            return Ok(Vec::new());
        }
        Ok(faults::torment(cluster, meter, orders.len() as u64, progress).await?)
    };
    tokio::select! {
        done = async { tokio::try_join!(replay, faults) } => done,
        never = progress.follow(meter) => never,
    }
}

/// An error and everything below it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        text.push_str(&format!(": {source}"));
        below = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_nothing_is_scarce() {
        let orders = orders::shipped().unwrap();
        assert_eq!(initial_stock(&orders, 0), orders::demand(&orders));
    }

    #[test]
    fn the_most_wanted_products_are_scarce() {
        let orders = orders::shipped().unwrap();
        let (demand, stock) = (orders::demand(&orders), initial_stock(&orders, 2));
        let short: Vec<_> = demand
            .iter()
            .filter(|(product, pieces)| stock[product] < **pieces)
            .collect();
        assert_eq!(short.len(), 2);
        assert_eq!(stock[&1177], demand[&1177] / 2);
    }
}
