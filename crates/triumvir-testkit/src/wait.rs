//! Waiting for conditions: every wait has the one deadline of the configuration, fails at once when a
//! process ends by itself, and says what it saw last.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::ClusterError;
use crate::{Cluster, Seat, Who, http, log, process};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a restarted process may find its port taken before that is an error.
const PORT_TAKEN_MAX: u32 = 100;

impl Cluster {
    /// Waits until every started replica says that it is ready, all of them know the same leader, and
    /// every started participant has a session to each of them.
    ///
    /// # Errors
    ///
    /// The deadline passed, or a process ended by itself.
    pub async fn wait_ready(&mut self) -> Result<(), ClusterError> {
        self.wait_until("the cluster to be ready", async |cluster| {
            cluster.ready().await
        })
        .await
    }

    /// Waits until the replicas that run agree on a leader that runs, and says who it is.
    ///
    /// # Errors
    ///
    /// The deadline passed, or a process ended by itself.
    pub async fn wait_leader(&mut self) -> Result<u64, ClusterError> {
        self.wait_until("a leader", async |cluster| cluster.agreed_leader().await)
            .await
    }

    /// Waits until a process has ended by itself or by a signal, and says how.
    ///
    /// # Errors
    ///
    /// It does not run, or the deadline passed.
    pub async fn wait_exit(&mut self, who: &Who) -> Result<ExitStatus, ClusterError> {
        let at = self.position(who)?;
        let after = self.config.deadline;
        match tokio::time::timeout(after, self.seats[at].wait_exit()).await {
            Ok(ended) => ended,
            Err(_) => Err(self.timed_out(&format!("{who} to end"), "it runs".to_owned())),
        }
    }

    /// Waits until a process is stopped, as [`Cluster::pause`] or a failpoint of its own does it.
    ///
    /// # Errors
    ///
    /// There is no such process, or the deadline passed.
    pub async fn wait_stopped(&mut self, who: &Who) -> Result<(), ClusterError> {
        self.wait_until(&format!("{who} to be stopped"), async |cluster| {
            let pid = cluster.seat(who).map_err(|error| error.to_string())?.pid();
            let pid = pid.ok_or_else(|| "it does not run".to_owned())?;
            match process::is_stopped(pid) {
                true => Ok(()),
                false => Err("it runs".to_owned()),
            }
        })
        .await
    }

    /// Asks `probe` again and again until it answers `Ok`. Its `Err` says what it saw.
    ///
    /// # Errors
    ///
    /// The deadline passed, or a process ended by itself.
    pub async fn wait_until<T>(
        &mut self,
        waited_for: &str,
        mut probe: impl AsyncFnMut(&mut Self) -> Result<T, String>,
    ) -> Result<T, ClusterError> {
        let deadline = Instant::now() + self.config.deadline;
        let mut ports_taken = 0;
        let mut seen = "nothing yet".to_owned();
        loop {
            self.check_alive(&mut ports_taken)?;
            match tokio::time::timeout_at(deadline, probe(self)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(reason)) => seen = reason,
                Err(_) => return Err(self.timed_out(waited_for, seen)),
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(self.timed_out(waited_for, seen));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A process that was started anew and found its port taken is started once more; before the
    /// cluster has been ready there is nothing to keep, and the caller starts over with other ports.
    fn check_alive(&mut self, ports_taken: &mut u32) -> Result<(), ClusterError> {
        for at in 0..self.seats.len() {
            let Err(error) = self.seats[at].check_alive() else {
                continue;
            };
            let restarted = self.seats[at].exit().is_some();
            let ClusterError::Exited {
                port_taken: true, ..
            } = &error
            else {
                return Err(error);
            };
            *ports_taken += 1;
            if !restarted || *ports_taken > PORT_TAKEN_MAX {
                return Err(error);
            }
            self.seats[at].clear();
            self.spawn_at(at)?;
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), String> {
        for seat in self.replicas().filter(|seat| seat.is_started()) {
            let who = seat.who();
            match http::get(seat.http_address(), "/readyz").await {
                Ok(response) if response.status == 200 => {}
                Ok(response) => {
                    return Err(format!("{who} says {}: {}", response.status, response.body));
                }
                Err(error) => return Err(format!("{who}: {}", chain(&error))),
            }
        }
        self.agreed_leader().await?;
        self.sessions().await
    }

    async fn agreed_leader(&self) -> Result<u64, String> {
        let mut leaders = Vec::new();
        for seat in self.replicas().filter(|seat| seat.is_started()) {
            let who = seat.who();
            let status = self.status(who).await.map_err(|error| chain(&error))?;
            let leader = status
                .leader
                .ok_or_else(|| format!("{who} knows no leader"))?;
            leaders.push((leader, status.term));
        }
        match leaders.first() {
            Some(first) if leaders.iter().any(|other| other != first) => {
                Err(format!("leaders (and terms) by replica: {leaders:?}"))
            }
            Some((leader, _)) if !self.is_started(&Who::Replica(*leader)) => Err(format!(
                "replica {leader} leads by what the others know, and does not run"
            )),
            Some((leader, _)) => Ok(*leader),
            None => Err("no replica runs".to_owned()),
        }
    }

    fn is_started(&self, who: &Who) -> bool {
        self.seat(who).is_ok_and(Seat::is_started)
    }

    async fn sessions(&self) -> Result<(), String> {
        for seat in self.replicas().filter(|seat| seat.is_started()) {
            let who = seat.who();
            let status = self.status(who).await.map_err(|error| chain(&error))?;
            for participant in self.participants().filter(|seat| seat.is_started()) {
                let Who::Participant(name) = participant.who() else {
                    continue;
                };
                let live = status
                    .participants
                    .iter()
                    .any(|known| &known.name == name && known.session && !known.replaced);
                if !live {
                    return Err(format!("{} has no session to {who}", participant.who()));
                }
            }
        }
        Ok(())
    }

    /// The folder is kept, which the error names.
    fn timed_out(&mut self, waited_for: &str, seen: String) -> ClusterError {
        self.keep();
        let mut tails = String::new();
        for seat in &self.seats {
            let tail = log::tail(seat.log(), 0);
            tails.push_str(&format!("the end of the log of {}:\n{tail}\n", seat.who()));
        }
        ClusterError::TimedOut {
            waited_for: waited_for.to_owned(),
            after: self.config.deadline,
            seen,
            folder: self.folder().to_owned(),
            tails,
        }
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
