//! The settings of a participant's process: who it is, where everybody is, and times and sizes. No
//! setting here affects safety.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The settings of one participant. `name`, `coordinators` and `data` have to be given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The stable name under which transactions address it.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// The coordinator replicas' addresses, `host:port` or `http://host:port`. Each gets a session.
    pub coordinators: Vec<String>,
    /// The data folder. It belongs to this participant of this cluster for good.
    pub data: PathBuf,
    /// Where the peer service and the resource's own services listen. Port 0: any free one.
    pub listen: SocketAddr,
    /// Where peers and clients reach it, if that is not the address that it listens on.
    pub advertise: Option<String>,
    /// Addresses of peers, by name, that take the place of those that the cluster knows.
    pub peer_addresses: BTreeMap<String, String>,
    /// The operator says that the folder known under this name is lost: this one takes the name under
    /// a new id. The branches of the lost one are ended by the operator.
    pub replace_lost_disk: bool,
    /// Times of the commit protocol.
    pub timers: Timers,
    /// Times of the network.
    pub network: Network,
    /// Sizes.
    pub limits: Limits,
}

/// How long a participant waits before it acts by itself. Every wait is lengthened by up to a fifth at
/// random; from the second repetition on it doubles, up to `repeat_max`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timers {
    /// T1: after so long without news a branch in doubt asks the coordinators, then its peers. It
    /// starts over when a coordinator is there again, which is asked at once, and when the last goes.
    #[serde(with = "humantime_serde")]
    pub inquire: Duration,
    /// T2: after so long it starts a fence round among its peers, if nobody knows an outcome.
    #[serde(with = "humantime_serde")]
    pub fence: Duration,
    /// By how much longer T2 is for each listed participant before this one, so that rounds do not
    /// collide.
    #[serde(with = "humantime_serde")]
    pub fence_rank: Duration,
    /// T3: after so long a pre-committed branch commits without being told.
    #[serde(with = "humantime_serde")]
    pub finish: Duration,
    /// How long a prepare may take.
    #[serde(with = "humantime_serde")]
    pub work: Duration,
    /// The longest wait of a timer that repeats.
    #[serde(with = "humantime_serde")]
    pub repeat_max: Duration,
}

/// Times of the network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// How long opening a connection, a session or an exchange may take, and one registration.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// The first pause before a lost connection is tried again; it doubles, with jitter.
    #[serde(with = "humantime_serde")]
    pub reconnect_min: Duration,
    /// The longest such pause.
    #[serde(with = "humantime_serde")]
    pub reconnect_max: Duration,
    /// How often a silent connection is probed.
    #[serde(with = "humantime_serde")]
    pub keepalive: Duration,
    /// How long a probe may stay unanswered before the connection counts as lost.
    #[serde(with = "humantime_serde")]
    pub keepalive_timeout: Duration,
    /// After so long without an answer, an exchange with a peer is closed.
    #[serde(with = "humantime_serde")]
    pub peer_idle: Duration,
}

/// Sizes. Where something has to be dropped at one of these, the protocol repeats it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most received frames that wait to be handled.
    pub inbox_frames_max: usize,
    /// The most messages that wait to be sent in one session; one more closes it.
    pub session_queue_max: usize,
    /// The most messages that wait to be sent to one peer; one more closes the exchange.
    pub peer_queue_max: usize,
    /// The most submissions to the journal that wait for the disk; at this point no more frames are
    /// taken from the inbox.
    pub submissions_in_flight_max: usize,
    /// The database's page cache, in bytes.
    pub cache_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: String::new(),
            cluster: "triumvir".to_owned(),
            coordinators: Vec::new(),
            data: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            advertise: None,
            peer_addresses: BTreeMap::new(),
            replace_lost_disk: false,
            timers: Timers::default(),
            network: Network::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            inquire: Duration::from_secs(2),
            fence: Duration::from_secs(5),
            fence_rank: Duration::from_secs(1),
            finish: Duration::from_secs(2),
            work: Duration::from_secs(10),
            repeat_max: Duration::from_secs(4),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            keepalive: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
            peer_idle: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox_frames_max: 64,
            session_queue_max: 65_536,
            peer_queue_max: 16_384,
            submissions_in_flight_max: 64,
            cache_bytes: 64 << 20,
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the setting `{setting}` {problem}")]
pub struct ConfigError {
    /// Which one.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl Config {
    /// Checks what can be checked without looking at the world.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), ConfigError> {
        let name_max = triumvir_protocol::Record::NAME_MAX;
        let given = [
            ("name", self.name.is_empty()),
            ("cluster", self.cluster.is_empty()),
            ("coordinators", self.coordinators.is_empty()),
            ("data", self.data.as_os_str().is_empty()),
        ];
        if let Some((setting, _)) = given.into_iter().find(|(_, missing)| *missing) {
            return Err(ConfigError {
                setting,
                problem: "must be given".to_owned(),
            });
        }
        if self.name.len() > name_max {
            return Err(ConfigError {
                setting: "name",
                problem: format!("is longer than {name_max} bytes"),
            });
        }
        let addresses = self
            .coordinators
            .iter()
            .map(|address| ("coordinators", address));
        let peers = self
            .peer_addresses
            .values()
            .map(|address| ("peer_addresses", address));
        let own = self.advertise.iter().map(|address| ("advertise", address));
        for (setting, address) in addresses.chain(peers).chain(own) {
            if let Err(error) = crate::dial::endpoint(address) {
                return Err(ConfigError {
                    setting,
                    problem: format!("has {address:?}: {error}"),
                });
            }
        }
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            let problem = format!(
                "must be given, because {} is no place to reach",
                self.listen
            );
            return Err(ConfigError {
                setting: "advertise",
                problem,
            });
        }
        let sizes = [
            ("limits.inbox_frames_max", self.limits.inbox_frames_max),
            ("limits.session_queue_max", self.limits.session_queue_max),
            ("limits.peer_queue_max", self.limits.peer_queue_max),
            (
                "limits.submissions_in_flight_max",
                self.limits.submissions_in_flight_max,
            ),
        ];
        match sizes.into_iter().find(|(_, size)| *size == 0) {
            Some((setting, _)) => Err(ConfigError {
                setting,
                problem: "must not be 0".to_owned(),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable() -> Config {
        Config {
            name: "orders".to_owned(),
            coordinators: vec!["127.0.0.1:7000".to_owned()],
            data: PathBuf::from("data"),
            ..Config::default()
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(usable().check(), Ok(()));
        let setting = |config: Config| config.check().unwrap_err().setting;
        assert_eq!(setting(Config::default()), "name");
        assert_eq!(
            setting(Config {
                coordinators: Vec::new(),
                ..usable()
            }),
            "coordinators"
        );
        assert_eq!(
            setting(Config {
                advertise: Some("not a place".to_owned()),
                ..usable()
            }),
            "advertise"
        );
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7421));
        assert_eq!(setting(Config { listen, ..usable() }), "advertise");
        let limits = Limits {
            peer_queue_max: 0,
            ..Limits::default()
        };
        assert_eq!(
            setting(Config { limits, ..usable() }),
            "limits.peer_queue_max"
        );
    }

    #[test]
    fn settings_survive_their_written_form_and_unknown_ones_are_refused() {
        let written = serde_json::to_string(&usable()).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&written).unwrap(), usable());
        assert_eq!(
            serde_json::from_str::<Config>("{}").unwrap(),
            Config::default()
        );
        let unknown = serde_json::from_str::<Config>(r#"{"timers": {"inquier": "1s"}}"#);
        assert!(unknown.unwrap_err().to_string().contains("inquier"));
    }
}
