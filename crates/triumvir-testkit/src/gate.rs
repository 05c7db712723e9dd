//! A gate in front of one replica: the address that the other replicas are told, which passes every
//! connection on to the real one, each direction only while it is not cut. What the bytes mean is not
//! known here.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Who;
use crate::error::ClusterError;
use crate::links::Links;
use crate::ports::PortLease;

/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// An open gate. Dropping it closes it, and every connection through it.
#[derive(Debug)]
pub(crate) struct Gate {
    lease: PortLease,
    _tasks: JoinSet<()>,
}

/// One end's name and the way to the other's.
#[derive(Clone)]
struct Way {
    links: Links,
    from: Option<Who>,
    to: Option<Who>,
}

impl Gate {
    /// Opens a gate to `who`, who serves at `target`. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// There is no port for it.
    pub(crate) fn open(who: Who, target: SocketAddr, links: Links) -> Result<Self, ClusterError> {
        let lease = PortLease::take()?;
        let listener = std::net::TcpListener::bind(lease.address())
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(TcpListener::from_std)
            .map_err(ClusterError::Gate)?;
        let mut tasks = JoinSet::new();
        let gate = lease.address();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                // A failed accept is the dialer's to repeat.
                let Ok((stream, end)) = listener.accept().await else {
                    continue;
                };
                let (links, who) = (links.clone(), who.clone());
                connections.spawn(async move {
                    let known = links.clone();
                    let dialer = tokio::task::spawn_blocking(move || known.dialer(end, gate));
                    let from = dialer.await.ok().flatten();
                    let way = Way {
                        links,
                        from,
                        to: Some(who),
                    };
                    way.pass(stream, target).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            lease,
            _tasks: tasks,
        })
    }

    /// The gate's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.lease.address()
    }
}

impl Way {
    fn back(&self) -> Self {
        Self {
            links: self.links.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
        }
    }

    /// Passes one connection on until both directions have ended.
    async fn pass(self, near: TcpStream, target: SocketAddr) {
        self.links
            .both_open(self.from.as_ref(), self.to.as_ref())
            .await;
        let Ok(far) = TcpStream::connect(target).await else {
            return; // Nobody is there, which the dialer sees by the end of its connection.
        };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        let back = self.back();
        tokio::join!(
            self.pump(near_read, far_write),
            back.pump(far_read, near_write)
        );
    }

    /// One direction. What comes while it is cut, its end included, waits until it is mended.
    async fn pump(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut chunk).await.unwrap_or(0);
            self.links.open(self.from.as_ref(), self.to.as_ref()).await;
            if count == 0 || to.write_all(&chunk[..count]).await.is_err() {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_way_is_cut_and_what_was_held_back_arrives_when_it_is_mended() {
        let (dialer, server) = (Who::Replica(1), Who::Replica(2));
        let links = Links::default();
        let own = i32::try_from(std::process::id()).unwrap();
        links.started(&dialer, own);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let gate = Gate::open(server.clone(), target, links.clone()).unwrap();
        let talk = tokio::task::spawn_blocking(move || {
            let mut near = TcpStream::connect(gate.address()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            let mut byte = [0];
            near.write_all(b"1").unwrap();
            far.read_exact(&mut byte).unwrap();
            links.cut(&dialer, &server);
            near.write_all(b"2").unwrap();
            far.write_all(b"3").unwrap();
            near.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"3", "the other way is open");
            far.set_nonblocking(true).unwrap();
            assert!(far.read(&mut byte).is_err(), "nothing has arrived");
            far.set_nonblocking(false).unwrap();
            links.mend();
            far.read_exact(&mut byte).unwrap();
            assert_eq!(&byte, b"2");
        });
        talk.await.unwrap();
    }
}
