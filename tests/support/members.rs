//! Changing the members as an operator does: by the command line, and with the command that it prints.

use anyhow::{Context as _, ensure};
use triumvir_testkit::{Cluster, Who};

use crate::{Ran, System};

/// How long a command may take, on a machine that has much else to do. It is told to the command.
const TIME: [&str; 2] = ["--timeout", "60s"];

impl System {
    /// Adds the replica `id` as a learner; its process is not started, and gets the command line that
    /// is printed.
    pub async fn add_member(&mut self, id: u64) -> anyhow::Result<Who> {
        let who = Who::Replica(id);
        let address = self.cluster.add_seat(who.clone())?.address();
        let newcomer = format!("{id}={address}");
        let ran = self
            .changed(&[&["cluster", "add", &newcomer], &TIME[..]].concat())
            .await?;
        self.take_command(&who, &ran)?;
        Ok(who)
    }

    /// Has the replica started by the command line that was printed when it was added.
    pub fn take_command(&mut self, who: &Who, added: &Ran) -> anyhow::Result<()> {
        let printed: serde_json::Value = serde_json::from_str(&added.stdout)?;
        let command = printed["command"].as_str().context("no command")?;
        let words: Vec<_> = command.split(' ').skip(1).collect();
        ensure!(words.contains(&"--join"), "{command}");
        Ok(self.cluster.set_command(who, words)?)
    }

    /// Adds the replica `id`, starts it, and makes it a voter when it has caught up.
    pub async fn add_voter(&mut self, id: u64) -> anyhow::Result<Who> {
        let who = self.add_member(id).await?;
        self.cluster.restart(&who)?;
        self.cluster.wait_ready().await?;
        self.promote(id).await?;
        Ok(who)
    }

    /// Makes a learner a voter, as soon as that is not too early.
    pub async fn promote(&mut self, id: u64) -> anyhow::Result<()> {
        let id = id.to_string();
        loop {
            let line = [&["cluster", "promote", &id], &TIME[..]].concat();
            let ran = self.run(&line).await?;
            if ran.status == Some(0) {
                return Ok(());
            }
            ran.expect(5, "TV0040", Some("not-applied"))?;
        }
    }

    /// Removes a member.
    pub async fn remove_member(&mut self, who: &Who) -> anyhow::Result<()> {
        let Who::Replica(id) = who else {
            anyhow::bail!("{who} is no replica");
        };
        let id = id.to_string();
        self.changed(&[&["cluster", "remove", &id], &TIME[..]].concat())
            .await?;
        Ok(())
    }

    /// Waits until a replica has ended by itself since it was removed, and said so.
    pub async fn wait_removed(&mut self, who: &Who) -> anyhow::Result<()> {
        let status = self.cluster.wait_exit(who).await?;
        let log = self.cluster.seat(who)?.log_tail();
        ensure!(
            status.code().is_some_and(|code| code != 0),
            "{who} ended by {status}:\n{log}"
        );
        ensure!(log.contains("TV0039"), "{who} does not say why:\n{log}");
        Ok(())
    }

    /// Waits until every replica that runs has exactly these voters, and no learner.
    pub async fn wait_voters(&mut self, voters: &[u64]) -> anyhow::Result<()> {
        let replicas = self.cluster.replicas();
        let running = replicas.filter(|seat| seat.is_started());
        let running: Vec<_> = running.map(|seat| seat.who().clone()).collect();
        self.wait_voters_at(&running, voters).await
    }

    /// Waits until these replicas have exactly these voters, and no learner.
    pub async fn wait_voters_at(&mut self, some: &[Who], voters: &[u64]) -> anyhow::Result<()> {
        let probe = async |cluster: &mut Cluster| {
            for who in some {
                let status = cluster.status(who).await;
                let members = status.map_err(|error| error.to_string())?.members;
                let mut found: Vec<_> = members.iter().map(|member| member.replica).collect();
                found.sort_unstable();
                if found != voters || members.iter().any(|member| !member.voter) {
                    return Err(format!("{who}: {members:?}"));
                }
            }
            Ok(())
        };
        Ok(self.cluster.wait_until("the voters", probe).await?)
    }

    /// Waits until a learner lacks nothing, by what its leader knows.
    pub async fn wait_caught_up(&mut self, id: u64) -> anyhow::Result<()> {
        let leader = Who::Replica(self.cluster.wait_leader().await?);
        let probe = async |cluster: &mut Cluster| {
            let status = cluster.status(&leader).await;
            let members = status.map_err(|error| error.to_string())?.members;
            let member = members.iter().find(|member| member.replica == id);
            match member.and_then(|member| member.lag) {
                Some(0) => Ok(()),
                lag => Err(format!("replica {id} lacks {lag:?} entries")),
            }
        };
        Ok(self
            .cluster
            .wait_until("a learner to catch up", probe)
            .await?)
    }

    /// Runs a command that is to succeed.
    pub async fn changed(&self, line: &[&str]) -> anyhow::Result<Ran> {
        let ran = self.run(line).await?;
        ensure!(ran.status == Some(0), "{line:?}: {ran:?}");
        Ok(ran)
    }
}
