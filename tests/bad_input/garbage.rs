//! Bytes that mean nothing, and connections that come to nothing, at every port of every process. All
//! of them live on, and the cluster commits while the connections stand and afterwards.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, BufMut as _, Bytes};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use triumvir_client::put;
use triumvir_testkit::{Cluster, Limits, Seat, get};
use triumvir_tests::{FIRST, Load, Setup, System, orders};

/// Ends a broken run.
const DEADLINE: Duration = Duration::from_secs(60);
/// The same, where nobody has to hurry: several times what silence is put up with.
const SILENT: Duration = Duration::from_secs(180);
/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Connections that are left open at one port.
const OPEN: usize = 40;
/// Descriptors of a process that is to have too few: more than it needs by itself.
const DESCRIPTORS: u64 = 100;

/// Every port of every process.
fn ports(system: &System) -> Vec<SocketAddr> {
    let seats = system.cluster.seats().iter();
    seats
        .flat_map(|seat| [seat.address(), seat.http_address()])
        .collect()
}

/// Bytes without any sense, always the same.
fn noise(length: usize) -> Vec<u8> {
    let step = |state: u64| {
        state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1)
    };
    let states = std::iter::successors(Some(1), |state| Some(step(*state)));
    states
        .map(|state| (state >> 56) as u8)
        .take(length)
        .collect()
}

/// An HTTP/2 frame, right or wrong.
fn frame(length: u32, kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let head = [
        &length.to_be_bytes()[1..],
        &[kind, flags],
        &stream.to_be_bytes(),
    ]
    .concat();
    [&head, content].concat()
}

/// What is sent to every port, each on a connection of its own.
fn garbage() -> Vec<Vec<u8>> {
    let settings = frame(0, 4, 0, 0, &[]);
    let http2 = |frames: &[u8]| [PREFACE, &settings, frames].concat();
    let long_line = [b"GET /", &[b'a'; 1 << 20][..]].concat();
    let long_head = [b"GET / HTTP/1.1\r\nx: ", &[b'a'; 1 << 20][..]].concat();
    vec![
        noise(1 << 16),
        vec![0; 1 << 20],
        b"GET /livez HTTP/0.9\r\n\r\n".to_vec(),
        b"POST /metrics HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n\r\n".to_vec(),
        b"POST /metrics HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
            .to_vec(),
        long_line,
        long_head,
        // How a TLS connection begins.
        [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise(500)].concat(),
        [PREFACE, &noise(1 << 12)].concat(),
        // A frame larger than any may be; headers that are no headers, on a stream that may not be.
        http2(&frame(0x00ff_ffff, 0, 0, 1, &[0; 100])),
        http2(&frame(8, 1, 4, 1, &[0xff; 8])),
        http2(&frame(8, 1, 4, 2, &[0x82; 8])),
        // A window that overflows; a ping of the wrong size; data on a stream that was never opened.
        http2(&frame(4, 8, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        http2(&frame(3, 6, 0, 0, &[1; 3])),
        http2(&frame(5, 0, 0, 77, &[1; 5])),
    ]
}

/// Sends `bytes` and nothing more, and waits until the other side closes too.
async fn send_and_hang_up(port: SocketAddr, bytes: &[u8]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(port).await?;
    // It may be closed by the other side before all is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(())
}

/// Every process serves at both of its ports.
async fn all_serve(system: &System) -> anyhow::Result<()> {
    for seat in system.cluster.seats() {
        let alive = get(seat.http_address(), "/livez").await?;
        ensure!(alive.status == 200, "{}: {alive:?}", seat.who());
        let channel = Endpoint::from_shared(format!("http://{}", seat.address()))?;
        let connected = timeout(DEADLINE, channel.connect()).await?;
        connected.with_context(|| seat.who().to_string())?;
        let log = std::fs::read_to_string(seat.log())?;
        ensure!(!log.contains("panicked"), "{}:\n{log}", seat.who());
    }
    Ok(())
}

/// Proves: no bytes that reach a port end a process or keep a connection from being closed.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_every_port_is_survived() -> anyhow::Result<()> {
    let system = System::start().await?;
    for port in ports(&system) {
        for (at, bytes) in garbage().iter().enumerate() {
            let sent = timeout(DEADLINE, send_and_hang_up(port, bytes)).await;
            sent.with_context(|| format!("garbage {at} at {port} is not closed"))??;
        }
    }
    all_serve(&system).await?;
    system.commits().await
}

/// Proves: connections that were opened and then say nothing, or stop in the middle of a word, keep
/// nobody else from being served; nor do they when they are broken off.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_keep_nobody_out() -> anyhow::Result<()> {
    let system = System::start().await?;
    let beginnings: [&[u8]; 5] = [
        b"",
        &PREFACE[..9],
        PREFACE,
        b"GET /livez HTT",
        b"POST /metrics HTTP/1.1\r\ncontent-length: 9\r\n\r\nfour",
    ];
    let mut open = Vec::new();
    for port in ports(&system) {
        for at in 0..OPEN {
            let mut stream = TcpStream::connect(port).await?;
            stream.write_all(beginnings[at % beginnings.len()]).await?;
            open.push(stream);
        }
    }
    all_serve(&system).await?;
    let order = system.client.transaction().at("orders", put("k", 1));
    order.commit().await?;
    for (at, stream) in open.into_iter().enumerate() {
        if at % 2 == 0 {
            // Closed by a reset.
            stream.set_zero_linger()?;
        }
    }
    all_serve(&system).await?;
    system.commits().await
}

/// Proves: a connection on which nothing is said, or that stops in the middle of a word, is closed by the
/// other side, at every port; so is one that has begun well and does not go on. Those who have something
/// to say meanwhile are served.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed() -> anyhow::Result<()> {
    let mut system = System::start().await?;
    let beginnings: [&[u8]; 7] = [
        b"",
        b"P",
        &PREFACE[..PREFACE.len() - 1],
        PREFACE,
        b"GET /livez HTT",
        b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\ncontent-length: 9\r\n\r\nfour",
    ];
    let load = Load::start(&system.client);
    let mut open = Vec::new();
    for port in ports(&system) {
        for beginning in beginnings {
            let mut stream = TcpStream::connect(port).await?;
            stream.write_all(beginning).await?;
            open.push(async move {
                let said = String::from_utf8_lossy(beginning);
                let mut answer = Vec::new();
                let closed = timeout(SILENT, stream.read_to_end(&mut answer)).await;
                // A reset is an end too.
                closed
                    .map(drop)
                    .with_context(|| format!("{port} keeps {said:?}"))
            });
        }
    }
    futures::future::try_join_all(open).await?;
    load.wait_progress(&mut system).await?;
    load.end(&system).await?;
    all_serve(&system).await?;
    system.commits().await
}

/// Proves: a replica and a participant that have used up their descriptors, since somebody has opened
/// connections without end, keep those that they have; the cluster commits through them, and takes new
/// ones when the others are gone.
#[tokio::test(flavor = "multi_thread")]
async fn processes_without_descriptors_live_on() -> anyhow::Result<()> {
    let few = Limits {
        open_files: Some(DESCRIPTORS),
        ..Limits::default()
    };
    let setup = Setup::new().limits(FIRST, few).limits(orders(), few);
    let mut system = System::start_with(setup).await?;
    let first = system.client.transaction().at("orders", put("k", 1));
    first.commit().await?;
    let mut open = Vec::new();
    for who in [FIRST, orders()] {
        let seat = system.cluster.seat(&who)?;
        // More than it can take; the system takes the rest in its place.
        for port in [seat.address(), seat.http_address()] {
            for _ in 0..DESCRIPTORS {
                open.push(TcpStream::connect(port).await?);
            }
        }
    }
    let probe = async |cluster: &mut Cluster| {
        for who in [FIRST, orders()] {
            let pid = cluster.seat(&who).map_err(|error| error.to_string())?.pid();
            let folder = format!("/proc/{}/fd", pid.unwrap_or_default());
            let files = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
            let count = files.count() as u64;
            if count < DESCRIPTORS {
                return Err(format!("{who} has {count} descriptors open"));
            }
        }
        Ok(())
    };
    let waited_for = "all descriptors to be in use";
    system.cluster.wait_until(waited_for, probe).await?;
    let second = system.client.transaction().at("orders", put("k", 2));
    second.commit().await?;
    drop(open);
    all_serve(&system).await?;
    system.commits().await
}

/// Bytes as they are, in place of a message.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls a method with bytes that are no message. The answer.
async fn call(seat: &Seat, method: &PathAndQuery, bytes: &'static [u8]) -> anyhow::Result<Status> {
    let channel = Endpoint::from_shared(format!("http://{}", seat.address()))?;
    let mut client = tonic::client::Grpc::new(channel.connect_lazy());
    client.ready().await?;
    let mut request = Request::new(Bytes::from_static(bytes));
    request.set_timeout(DEADLINE);
    let answer = client.unary(request, method.clone(), Raw).await;
    let status = answer.err();
    status.with_context(|| format!("{} takes {bytes:?} at {method}", seat.who()))
}

/// Every method of a replica and of a participant, and one that nobody has.
fn methods() -> anyhow::Result<Vec<PathAndQuery>> {
    let files = FileDescriptorSet::decode(triumvir_wire::DESCRIPTORS)?.file;
    let mut methods = vec![
        PathAndQuery::from_static("/grpc.health.v1.Health/Check"),
        PathAndQuery::from_static("/triumvir.v1.Nothing/AtAll"),
    ];
    for file in files {
        for service in &file.service {
            let service_name = format!("/{}.{}", file.package(), service.name());
            for method in &service.method {
                methods.push(format!("{service_name}/{}", method.name()).parse()?);
            }
        }
    }
    Ok(methods)
}

/// Proves: calls whose content is no message are answered with an error, at every method.
#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_message_are_refused() -> anyhow::Result<()> {
    let system = System::start().await?;
    let methods = methods()?;
    ensure!(methods.len() > 25, "{methods:?}");
    // A tag that never ends, a length beyond the end, a field of a forbidden kind.
    let messages: [&'static [u8]; 3] = [
        &[0xff; 12],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1],
        &[0x0e, 1],
    ];
    for seat in system.cluster.seats() {
        for method in &methods {
            for bytes in messages {
                call(seat, method, bytes).await?;
            }
        }
    }
    all_serve(&system).await?;
    system.commits().await
}
