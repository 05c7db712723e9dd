//! Reading the three stores at the end: when nothing is under way any more, or has not come to rest in
//! time, which the audit then finds.

use std::net::SocketAddr;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use triumvir_client::{Client, KvReader, StatusResponse, Value};
use triumvir_testkit::{Cluster, ClusterError, Who};

use super::books::{Books, Entry, Store};

/// The stores of a cluster.
pub(super) struct Stores {
    readers: Vec<(Store, KvReader)>,
}

impl Stores {
    /// Of the demo's participants.
    ///
    /// # Errors
    ///
    /// The cluster has no such participant.
    pub(super) fn new(client: &Client, cluster: &Cluster) -> anyhow::Result<Self> {
        let open = |store: Store| {
            let address = address(cluster, store)?;
            anyhow::Ok((store, client.kv(address.to_string())?))
        };
        Ok(Self {
            readers: Store::ALL
                .into_iter()
                .map(open)
                .collect::<anyhow::Result<_>>()?,
        })
    }

    /// Waits until nothing is in doubt and nothing is locked, then reads everything. What has not
    /// come to rest by the cluster's deadline is entered in the books.
    ///
    /// # Errors
    ///
    /// The cluster is not whole, or a store cannot be read.
    pub(super) async fn read(&self, cluster: &mut Cluster) -> anyhow::Result<Books> {
        let mut books = Books::default();
        let rest = cluster
            .wait_until("every transaction to end", async |cluster| {
                let in_doubt = in_doubt(cluster).await?;
                let locks = self.locks().await.map_err(|error| format!("{error:#}"))?;
                let restless = !in_doubt.is_empty() || !locks.is_empty();
                let seen = format!("{in_doubt:?}, {} locks", locks.len());
                (books.in_doubt, books.locks) = (in_doubt, locks);
                if restless { Err(seen) } else { Ok(()) }
            })
            .await;
        let restless = !books.in_doubt.is_empty() || !books.locks.is_empty();
        match rest {
            Err(ClusterError::TimedOut { .. }) if restless => {}
            rest => rest?,
        }
        for (store, reader) in &self.readers {
            let mut entries = reader.scan("");
            let reading = || format!("reading {store}");
            while let Some(entry) = entries.try_next().await.with_context(reading)? {
                let key = String::from_utf8_lossy(&entry.key).into_owned();
                let entry = match entry.value {
                    Value::Integer(number) => Entry::Integer(number),
                    Value::Bytes(bytes) => Entry::Text(String::from_utf8_lossy(&bytes).into()),
                };
                books.enter(*store, key, entry);
            }
        }
        Ok(books)
    }

    async fn locks(&self) -> anyhow::Result<Vec<(Store, String)>> {
        let mut all = Vec::new();
        for (store, reader) in &self.readers {
            let locks = reader
                .locks()
                .await
                .with_context(|| format!("the locks of {store}"))?;
            let key = |lock: &triumvir_client::KeyLock| {
                (*store, String::from_utf8_lossy(&lock.key).into_owned())
            };
            all.extend(locks.iter().map(key));
        }
        Ok(all)
    }
}

/// Where a store is reached.
pub(super) fn address(cluster: &Cluster, store: Store) -> Result<SocketAddr, ClusterError> {
    Ok(cluster.seat(&Who::participant(store.name()))?.address())
}

/// What the leader says is not over, one line each. The error says why it could not be asked.
async fn in_doubt(cluster: &Cluster) -> Result<Vec<String>, String> {
    for seat in cluster.replicas() {
        let status = cluster
            .status(seat.who())
            .await
            .map_err(|error| error.to_string())?;
        if status.leader == Some(status.replica) {
            return Ok(not_over(&status));
        }
    }
    Err("no replica says that it leads".to_owned())
}

fn not_over(status: &StatusResponse) -> Vec<String> {
    let mut lines = Vec::new();
    if status.undecided > 0 {
        lines.push(format!("{} transactions are not decided", status.undecided));
    }
    if status.open > 0 {
        lines.push(format!("{} records have not ended", status.open));
    }
    if let Some(age) = status.oldest_in_doubt_millis {
        lines.push(format!("the oldest transaction in doubt is {age} ms old"));
    }
    for participant in &status.participants {
        if participant.in_doubt > 0 {
            let (name, count) = (&participant.name, participant.in_doubt);
            lines.push(format!("{name} has {count} branches in doubt"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use triumvir_wire::v1::ParticipantStatus;

    use super::*;

    #[test]
    fn everything_that_is_not_over_has_its_line() {
        assert_eq!(not_over(&StatusResponse::default()), Vec::<String>::new());
        let payments = ParticipantStatus {
            name: "payments".to_owned(),
            in_doubt: 3,
            ..ParticipantStatus::default()
        };
        let status = StatusResponse {
            undecided: 1,
            open: 2,
            oldest_in_doubt_millis: Some(40),
            participants: vec![payments],
            ..StatusResponse::default()
        };
        let lines = not_over(&status);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "payments has 3 branches in doubt");
    }
}
