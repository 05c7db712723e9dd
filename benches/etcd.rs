//! A closed loop of puts against an etcd cluster, to have a neighbour to compare with: the same load
//! in the same form as `triumvir bench` puts on ours. Only what a put needs of etcd's interface is
//! here. One line of JSON comes out.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use hdrhistogram::Histogram;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

/// Puts with many clients, each waiting for its answer.
#[derive(Parser)]
struct Args {
    /// The members' client addresses.
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 200)]
    bytes: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before that.
    #[arg(long, default_value_t = 3)]
    warmup: u64,
}

/// `etcdserverpb.PutRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Put {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`, of which nothing is read.
#[derive(Clone, PartialEq, prost::Message)]
struct Done {}

async fn put(channel: Channel, message: Put) -> anyhow::Result<()> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
    let codec = tonic_prost::ProstCodec::<Put, Done>::default();
    client
        .unary(tonic::Request::new(message), path, codec)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut channels = Vec::new();
    for endpoint in &args.endpoints {
        let endpoint = Endpoint::from_shared(format!("http://{endpoint}"))?.tcp_nodelay(true);
        channels.push(endpoint.connect().await.context("etcd does not answer")?);
    }
    let (measures, ends) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let clients: Vec<_> = (0..args.clients)
        .map(|client| {
            let channel = channels[client % channels.len()].clone();
            let (measures, ends) = (measures.clone(), ends.clone());
            tokio::spawn(drive(client, channel, args.bytes, measures, ends))
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(args.warmup)).await;
    measures.store(true, Ordering::Relaxed);
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    let elapsed = began.elapsed();
    ends.store(true, Ordering::Relaxed);
    let mut all = Histogram::<u64>::new(3)?;
    for client in clients {
        all.add(client.await??)?;
    }
    let millis = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
    let line = serde_json::json!({
        "clients": args.clients,
        "puts_per_second": all.len() as f64 / elapsed.as_secs_f64(),
        "p50_millis": millis(0.5),
        "p99_millis": millis(0.99),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// One client: microseconds of each put while it is measured.
async fn drive(
    client: usize,
    channel: Channel,
    bytes: usize,
    measures: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Histogram::<u64>::new(3)?;
    for count in 0_u64.. {
        if ends.load(Ordering::Relaxed) {
            break;
        }
        let message = Put {
            key: format!("{client}/{count}").into_bytes(),
            value: vec![b'x'; bytes],
        };
        let began = Instant::now();
        put(channel.clone(), message).await?;
        if measures.load(Ordering::Relaxed) && !ends.load(Ordering::Relaxed) {
            latency.record(u64::try_from(began.elapsed().as_micros())?)?;
        }
    }
    Ok(latency)
}
