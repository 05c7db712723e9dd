//! The cluster: starting its processes, and everything that can be done to one of them.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::error::ClusterError;
use crate::gate::Gate;
use crate::leash::Leash;
use crate::links::Links;
use crate::{ClusterConfig, Hindrance, Seat, Usage, Who};

/// How often a start is tried anew with other ports when another process took one of them.
const STARTS_MAX: u32 = 5;

/// Replicas and key-value participants as processes of this machine, on 127.0.0.1.
///
/// Dropping it kills every process with SIGKILL and removes the folder, which is kept when the
/// configuration says so, when a wait has reached its deadline and when the thread panics. The processes are also killed when this process
/// dies without dropping anything.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) config: ClusterConfig,
    /// Before `leash` and `folder`: the processes are gone before the group ends and the folder goes.
    pub(crate) seats: Vec<Seat>,
    leash: Leash,
    /// In front of the replicas, in their order; empty if none were asked for.
    gates: Vec<Gate>,
    links: Links,
    folder: TempDir,
}

impl Cluster {
    /// Starts every process and waits until the cluster is ready: see [`Cluster::wait_ready`].
    ///
    /// # Errors
    ///
    /// Something could not be started, a process ended by itself, or the deadline passed. The folder
    /// is kept.
    pub async fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        let mut starts = 1;
        loop {
            let mut cluster = Self::spawn_all(config.clone())?;
            match cluster.wait_ready().await {
                Ok(()) => return Ok(cluster),
                Err(ClusterError::Exited {
                    port_taken: true, ..
                }) if starts < STARTS_MAX => starts += 1,
                Err(error) => {
                    cluster.keep();
                    return Err(error);
                }
            }
        }
    }

    /// Starts every process and waits for nothing.
    ///
    /// # Errors
    ///
    /// Something could not be started.
    pub fn spawn_all(config: ClusterConfig) -> Result<Self, ClusterError> {
        let parent = config.parent.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new()
            .prefix("triumvir-")
            .disable_cleanup(config.keep)
            .tempdir_in(&parent)
            .map_err(|source| ClusterError::Folder {
                path: parent,
                source,
            })?;
        let replicas = (1..=config.replicas).map(Who::Replica);
        let participants = config.participants.iter().cloned().map(Who::Participant);
        let seats = replicas
            .chain(participants)
            .map(|who| Seat::new(who, folder.path()))
            .collect::<Result<Vec<_>, _>>()?;
        let links = Links::default();
        let gates = seats
            .iter()
            .filter(|seat| config.gates && seat.who().is_replica());
        let gates = gates
            .map(|seat| Gate::open(seat.who().clone(), seat.address(), links.clone()))
            .collect::<Result<_, _>>()?;
        let mut cluster = Self {
            gates,
            links,
            leash: Leash::new().map_err(ClusterError::Leash)?,
            config,
            seats,
            folder,
        };
        for at in 0..cluster.seats.len() {
            cluster.spawn_at(at)?;
        }
        Ok(cluster)
    }

    /// The folder that has all data folders and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the folder when the cluster is dropped.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Every place, replicas first.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// One place.
    ///
    /// # Errors
    ///
    /// There is no such place.
    pub fn seat(&self, who: &Who) -> Result<&Seat, ClusterError> {
        let found = self.seats.iter().find(|seat| seat.who() == who);
        found.ok_or_else(|| ClusterError::Unknown(who.clone()))
    }

    /// The gRPC addresses of all replicas, whether they run or not.
    pub fn coordinators(&self) -> Vec<SocketAddr> {
        self.replicas().map(Seat::address).collect()
    }

    /// The places of the replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.who().is_replica())
    }

    /// The places of the participants.
    pub fn participants(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| !seat.who().is_replica())
    }

    /// Kills a process with SIGKILL and waits until it is gone. Paused ones die too.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub async fn kill(&mut self, who: &Who) -> Result<ExitStatus, ClusterError> {
        self.signal(who, Signal::SIGKILL)?;
        self.wait_exit(who).await
    }

    /// Kills several processes at once: all are signalled before any is waited for.
    ///
    /// # Errors
    ///
    /// One of them does not run.
    pub async fn kill_all(&mut self, whom: &[Who]) -> Result<(), ClusterError> {
        for who in whom {
            self.signal(who, Signal::SIGKILL)?;
        }
        for who in whom {
            self.wait_exit(who).await?;
        }
        Ok(())
    }

    /// Asks a process to end with SIGTERM; does not wait: see [`Cluster::wait_exit`].
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn terminate(&mut self, who: &Who) -> Result<(), ClusterError> {
        self.signal(who, Signal::SIGTERM)
    }

    /// Asks every process that runs to end with SIGTERM, and waits until all have ended.
    ///
    /// # Errors
    ///
    /// One cannot be asked to, does not end before the deadline, or ends with an error. In the last two
    /// cases the folder is kept.
    pub async fn shut_down(mut self) -> Result<(), ClusterError> {
        let running = self.seats.iter().filter(|seat| seat.is_started());
        let running: Vec<_> = running.map(|seat| seat.who().clone()).collect();
        for who in &running {
            self.terminate(who)?;
        }
        for who in running {
            let status = self.wait_exit(&who).await?;
            if !status.success() {
                self.keep();
                let tail = self.seat(&who)?.log_tail();
                let port_taken = false;
                return Err(ClusterError::Exited {
                    who,
                    status,
                    tail,
                    port_taken,
                });
            }
        }
        Ok(())
    }

    /// Stops a process with SIGSTOP: it keeps its ports and its connections and does nothing.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn pause(&mut self, who: &Who) -> Result<(), ClusterError> {
        self.signal(who, Signal::SIGSTOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn resume(&mut self, who: &Who) -> Result<(), ClusterError> {
        self.signal(who, Signal::SIGCONT)
    }

    /// Has what `from` sends not arrive at `to`, both replicas, until [`Cluster::mend`]. On the
    /// connections that they have, the other way stays open; new ones are not made between them, since
    /// that takes both ways.
    ///
    /// # Errors
    ///
    /// There is no such process, or the cluster has no gates.
    pub fn cut(&mut self, from: &Who, to: &Who) -> Result<(), ClusterError> {
        for who in [from, to] {
            self.position(who)?;
        }
        if self.gates.is_empty() {
            return Err(ClusterError::NoGates);
        }
        self.links.cut(from, to);
        Ok(())
    }

    /// Undoes every [`Cluster::cut`]; what was held back arrives, where its connection still stands.
    pub fn mend(&mut self) {
        self.links.mend();
    }

    /// Starts a process in a place where none runs, with the folder and the ports of the one before.
    /// Does not wait: see [`Cluster::wait_ready`].
    ///
    /// # Errors
    ///
    /// One runs there, or the binary cannot be started.
    pub fn restart(&mut self, who: &Who) -> Result<(), ClusterError> {
        let at = self.position(who)?;
        self.spawn_at(at)
    }

    /// Removes the data folder of a process that does not run, as if its disk were lost.
    ///
    /// # Errors
    ///
    /// It runs, or the folder cannot be removed.
    pub fn wipe(&mut self, who: &Who) -> Result<(), ClusterError> {
        let seat = self.seat(who)?;
        if seat.is_started() {
            return Err(ClusterError::Running(who.clone()));
        }
        std::fs::remove_dir_all(seat.folder()).map_err(|source| ClusterError::Folder {
            path: seat.folder().to_owned(),
            source,
        })
    }

    /// Makes a place for one more process, which is not started: that is for [`Cluster::restart`], once
    /// [`Cluster::set_command`] has said how, since the line of the others does not name it. No gate
    /// is put in front of it.
    ///
    /// # Errors
    ///
    /// There is such a place already, or no port is free.
    pub fn add_seat(&mut self, who: Who) -> Result<&Seat, ClusterError> {
        if self.position(&who).is_ok() {
            return Err(ClusterError::Running(who));
        }
        self.seats.push(Seat::new(who, self.folder.path())?);
        Ok(self.seats.last().expect("it was just added"))
    }

    /// Has the processes of a place started by this command line from now on, which begins behind the
    /// binary. Sockets, folder and the extra arguments of the configuration are added to it.
    ///
    /// # Errors
    ///
    /// There is no such place.
    pub fn set_command(
        &mut self,
        who: &Who,
        command: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Result<(), ClusterError> {
        let at = self.position(who)?;
        let command = command.into_iter().map(Into::into).collect();
        self.seats[at].set_command(command);
        Ok(())
    }

    /// Has the next process of a place, and only that, hindered by this, in the place of what the
    /// configuration says of the first one.
    ///
    /// # Errors
    ///
    /// There is no such place.
    pub fn hinder(&mut self, who: &Who, hindrance: Hindrance) -> Result<(), ClusterError> {
        let at = self.position(who)?;
        self.seats[at].hinder(hindrance);
        Ok(())
    }

    /// Forgets the place of a process that does not run: nothing waits for it any more.
    ///
    /// # Errors
    ///
    /// It runs, or there is no such place.
    pub fn remove_seat(&mut self, who: &Who) -> Result<(), ClusterError> {
        let at = self.position(who)?;
        if self.seats[at].is_started() {
            return Err(ClusterError::Running(who.clone()));
        }
        self.seats.remove(at);
        Ok(())
    }

    /// What every place has used, in the order of [`Cluster::seats`].
    ///
    /// # Errors
    ///
    /// /proc cannot be read.
    pub fn usage(&self) -> Result<Vec<(Who, Usage)>, ClusterError> {
        let usage = |seat: &Seat| Ok((seat.who().clone(), seat.usage()?));
        self.seats.iter().map(usage).collect()
    }

    pub(crate) fn position(&self, who: &Who) -> Result<usize, ClusterError> {
        let found = self.seats.iter().position(|seat| seat.who() == who);
        found.ok_or_else(|| ClusterError::Unknown(who.clone()))
    }

    pub(crate) fn spawn_at(&mut self, at: usize) -> Result<(), ClusterError> {
        let args = self.command_line(&self.seats[at]);
        self.seats[at].spawn(&self.config, &self.leash, &args)?;
        let seat = &self.seats[at];
        if let Some(pid) = seat.pid() {
            self.links.started(seat.who(), pid);
        }
        Ok(())
    }

    /// The address of a replica, the `id`th, that the others are told.
    fn known_address(&self, seat: &Seat, id: u64) -> SocketAddr {
        let gate = usize::try_from(id)
            .ok()
            .and_then(|id| self.gates.get(id - 1));
        gate.map_or(seat.address(), Gate::address)
    }

    fn signal(&self, who: &Who, signal: Signal) -> Result<(), ClusterError> {
        self.seat(who)?.signal(signal)
    }

    /// The replicas that the cluster was started with, of those that have a place, as each of them is
    /// told.
    fn founders(&self) -> Vec<String> {
        let founders = self.replicas().filter(|seat| seat.command().is_none());
        let member = |seat: &Seat| match seat.who() {
            Who::Replica(id) => Some(format!("{id}={}", self.known_address(seat, *id))),
            Who::Participant(_) => None,
        };
        founders.filter_map(member).collect()
    }

    fn command_line(&self, seat: &Seat) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |parts: &[&str]| args.extend(parts.iter().map(OsString::from));
        let extra = match seat.who() {
            Who::Replica(id) => {
                if seat.command().is_none() {
                    add(&["server", "--node-id", &id.to_string()]);
                    add(&["--initial-cluster", &self.founders().join(",")]);
                }
                &self.config.replica_args
            }
            Who::Participant(name) => {
                let coordinators = self.coordinators();
                let list: Vec<_> = coordinators.iter().map(ToString::to_string).collect();
                if seat.command().is_none() {
                    add(&["participant", "kv", "--name", name]);
                    add(&["--coordinators", &list.join(",")]);
                }
                &self.config.participant_args
            }
        };
        if seat.command().is_none() {
            add(&["--cluster", &self.config.name]);
        }
        let mut args: Vec<_> = seat
            .command()
            .unwrap_or_default()
            .iter()
            .cloned()
            .chain(args)
            .collect();
        let mut add = |parts: &[&str]| args.extend(parts.iter().map(OsString::from));
        add(&["--listen", &seat.address().to_string()]);
        add(&["--http-listen", &seat.http_address().to_string()]);
        args.push("--data-dir".into());
        args.push(seat.folder().into());
        args.extend(extra.iter().cloned());
        args
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
            // The last words of a failing test; there is nobody to tell if they cannot be said.
            let path = self.folder().display();
            let _ = writeln!(std::io::stderr(), "the cluster's folder is kept: {path}");
        }
    }
}
