//! Changing the members as an operator does: by the command line, and with the command that it prints.

use anyhow::{Context as _, ensure};
use triumvir_testkit::{Cluster, Who};

use crate::{Ran, System};

impl System {
    /// Adds the replica `id` as a learner; its process is not started, and gets the command line that
    /// is printed.
    pub async fn add_member(&mut self, id: u64) -> anyhow::Result<Who> {
        let who = Who::Replica(id);
        let address = self.cluster.add_seat(who.clone())?.address();
        let newcomer = format!("{id}={address}");
        let ran = self.changed(&["cluster", "add", &newcomer]).await?;
        let printed: serde_json::Value = serde_json::from_str(&ran.stdout)?;
        let command = printed["command"].as_str().context("no command")?;
        let words: Vec<_> = command.split(' ').skip(1).collect();
        ensure!(words.contains(&"--join"), "{command}");
        self.cluster.set_command(&who, words)?;
        Ok(who)
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
            let ran = self.run(&["cluster", "promote", &id]).await?;
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
        self.changed(&["cluster", "remove", &id.to_string()])
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
        let probe = async |cluster: &mut Cluster| {
            let running = cluster.replicas().filter(|seat| seat.is_started());
            for who in running.map(|seat| seat.who()) {
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

    async fn changed(&self, line: &[&str]) -> anyhow::Result<Ran> {
        let ran = self.run(line).await?;
        ensure!(ran.status == Some(0), "{line:?}: {ran:?}");
        Ok(ran)
    }
}
