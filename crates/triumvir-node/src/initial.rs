//! The members that a cluster is formed of, as one line: `1=host:port,2=host:port`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The members that the cluster is formed of: node id and `host:port` of each. The same line is
/// given to every one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialCluster(BTreeMap<u64, String>);

/// A line that does not name the members of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitialClusterError {
    /// A part that is not `id=host:port`.
    #[error("{part:?} is not of the form id=host:port")]
    Part {
        /// What was found.
        part: String,
    },
    /// One id or one address is named twice.
    #[error("{part:?} is named twice")]
    Twice {
        /// The id or the address.
        part: String,
    },
}

impl InitialCluster {
    /// The members `members`.
    ///
    /// # Errors
    ///
    /// When two of them have the same id or address.
    pub fn new(
        members: impl IntoIterator<Item = (u64, String)>,
    ) -> Result<Self, InitialClusterError> {
        let mut map = BTreeMap::new();
        for (node, address) in members {
            if map.values().any(|known| *known == address) {
                return Err(InitialClusterError::Twice { part: address });
            }
            if map.insert(node, address).is_some() {
                return Err(InitialClusterError::Twice {
                    part: node.to_string(),
                });
            }
        }
        Ok(Self(map))
    }

    /// The members by node id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<u64, String> {
        &self.0
    }
}

impl FromStr for InitialCluster {
    type Err = InitialClusterError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let parts = line
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let members = parts.map(|part| {
            let wrong = || InitialClusterError::Part {
                part: part.to_owned(),
            };
            let (node, address) = part.split_once('=').ok_or_else(wrong)?;
            let node: u64 = node.trim().parse().map_err(|_| wrong())?;
            let address = address.trim();
            let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
            if node == 0 || host.is_empty() || port.parse::<u16>().is_err() {
                return Err(wrong());
            }
            Ok((node, address.to_owned()))
        });
        Self::new(members.collect::<Result<Vec<_>, _>>()?)
    }
}

impl fmt::Display for InitialCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (node, address)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{node}={address}")?;
        }
        Ok(())
    }
}

impl Serialize for InitialCluster {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InitialCluster {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = String::deserialize(deserializer)?;
        line.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_written() {
        let line = "1=a:1,2=[::1]:2,10=c.example:3";
        let members: InitialCluster = line.parse().unwrap();
        assert_eq!(members.to_string(), line);
        assert_eq!(members.members()[&2], "[::1]:2");
        assert_eq!(
            "".parse::<InitialCluster>().unwrap(),
            InitialCluster::default()
        );
    }

    #[test]
    fn lines_that_name_no_cluster_are_refused() {
        for line in [
            "a",
            "1=host",
            "0=a:1",
            "x=a:1",
            "1=:1",
            "1=a:x",
            "1=a:1,1=b:1",
            "1=a:1,2=a:1",
        ] {
            assert!(line.parse::<InitialCluster>().is_err(), "{line}");
        }
    }
}
