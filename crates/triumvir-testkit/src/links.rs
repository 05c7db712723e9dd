//! Who hears whom: what is cut between the replicas, and which process is which replica. Where the
//! bytes go is in `gate`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use procfs::process::{FDTarget, Process};
use tokio::sync::watch;

use crate::Who;

/// Shared by the cluster, which cuts and mends, and the gates, which keep to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    processes: BTreeMap<i32, Who>,
    /// The second does not hear the first.
    cut: BTreeSet<(Who, Who)>,
}

impl Links {
    /// The process `pid` is `who` from now on.
    pub(crate) fn started(&self, who: &Who, pid: i32) {
        self.state.send_modify(|state| {
            state.processes.insert(pid, who.clone());
        });
    }

    /// What `from` sends does not arrive at `to` any more.
    pub(crate) fn cut(&self, from: &Who, to: &Who) {
        self.state.send_modify(|state| {
            state.cut.insert((from.clone(), to.clone()));
        });
    }

    /// Everyone hears everyone again, and what was held back on connections that still stand arrives.
    pub(crate) fn mend(&self) {
        self.state.send_modify(|state| state.cut.clear());
    }

    /// Waits until `to` hears `from`. Nothing is ever cut from a stranger.
    pub(crate) async fn open(&self, from: Option<&Who>, to: Option<&Who>) {
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        let way = (from.clone(), to.clone());
        let mut state = self.state.subscribe();
        // The sender lives as long as this.
        let _ = state.wait_for(|state| !state.cut.contains(&way)).await;
    }

    /// Waits until `one` and `other` hear each other: a connection needs both ways to be made.
    pub(crate) async fn both_open(&self, one: Option<&Who>, other: Option<&Who>) {
        let (Some(one), Some(other)) = (one, other) else {
            return;
        };
        let ways = [(one.clone(), other.clone()), (other.clone(), one.clone())];
        let mut state = self.state.subscribe();
        let _ = state
            .wait_for(|state| !ways.iter().any(|way| state.cut.contains(way)))
            .await;
    }

    /// Which replica has opened a connection, by the address at its end. The kernel knows whose that
    /// is, so the replicas need not say it. Reads /proc.
    pub(crate) fn dialer(&self, end: SocketAddr, gate: SocketAddr) -> Option<Who> {
        let connections = procfs::net::tcp().ok()?;
        let own = |entry: &&procfs::net::TcpNetEntry| {
            entry.local_address == end && entry.remote_address == gate
        };
        let inode = connections.iter().find(own)?.inode;
        let processes = self.state.borrow().processes.clone();
        processes
            .into_iter()
            .find(|(pid, _)| holds(*pid, inode))
            .map(|(_, who)| who)
    }
}

/// Whether the process `pid` has the socket `inode` open.
fn holds(pid: i32, inode: u64) -> bool {
    let Ok(files) = Process::new(pid).and_then(|process| process.fd()) else {
        return false;
    };
    files
        .flatten()
        .any(|file| matches!(file.target, FDTarget::Socket(own) if own == inode))
}
