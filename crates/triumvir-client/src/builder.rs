//! The settings of a client.

use std::time::Duration;

use triumvir_wire::{Code, Failure};

use crate::Client;
use crate::replicas::Replicas;

/// The settings of a [`Client`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    coordinators: Vec<String>,
    timeout: Duration,
    connect_timeout: Duration,
}

/// Why a client could not be made of its settings. Nothing was sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// No address of a coordinator.
    #[error("no coordinator's address was given")]
    NoCoordinators,
    /// An address that is none.
    #[error(
        "{address:?} is not an address such as `10.0.0.1:7000` or `http://node:7000`: {reason}"
    )]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A time that leaves no time.
    #[error("{setting} must be longer than 0")]
    NoTime {
        /// The setting.
        setting: &'static str,
    },
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(Code::BadSettings, error.to_string())
    }
}

impl ClientBuilder {
    /// The default of [`ClientBuilder::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of [`ClientBuilder::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

    pub(crate) fn new() -> Self {
        Self {
            coordinators: Vec::new(),
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
        }
    }

    /// Adds replicas, by `host:port` or `http://host:port`. One is enough; with all of them the
    /// client survives the loss of any.
    pub fn coordinators<A: Into<String>>(mut self, addresses: impl IntoIterator<Item = A>) -> Self {
        self.coordinators
            .extend(addresses.into_iter().map(Into::into));
        self
    }

    /// How long a call may take, repetitions included: 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one connection may take to be made: 2 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Makes the client. It connects when it is first used.
    ///
    /// # Errors
    ///
    /// A setting that cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        if self.coordinators.is_empty() {
            return Err(BuildError::NoCoordinators);
        }
        for (setting, time) in [
            ("timeout", self.timeout),
            ("connect_timeout", self.connect_timeout),
        ] {
            if time.is_zero() {
                return Err(BuildError::NoTime { setting });
            }
        }
        let replicas = Replicas::new(&self.coordinators, self.connect_timeout)?;
        Ok(Client::new(replicas, self.timeout))
    }
}
