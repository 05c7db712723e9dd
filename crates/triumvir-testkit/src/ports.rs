//! Ports on 127.0.0.1 that stay this cluster's while its processes come and go.
//!
//! A server's port is free whenever its process is down, and must still be free when it comes back.
//! Ports are therefore taken from below the range out of which the system serves connections that
//! name no port: nothing lands on one of them by chance, and no client that redials a dead server can
//! end up connected to itself. Against other clusters, in this process or another, a port is held by
//! binding the UDP port of the same number, which no server here uses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::ClusterError;

const TRIES_MAX: u32 = 4_000;
const LOWEST: u16 = 10_240;
/// Where Linux begins by default with the ports that it hands out itself.
const HANDED_OUT_FROM: u16 = 32_768;
/// Fewer than this below the handed-out range, and that range is used too.
const ENOUGH: u16 = 2_000;

/// How many ports this process has tried.
static TRIED: AtomicU32 = AtomicU32::new(0);

/// A port that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct PortLease {
    port: u16,
    _mark: UdpSocket,
}

impl PortLease {
    /// Takes a port that no other lease holds and nothing listens on.
    ///
    /// # Errors
    ///
    /// None was found within a bounded number of tries.
    pub(crate) fn take() -> Result<Self, ClusterError> {
        let range = candidates();
        let span = u32::from(range.end - range.start);
        // Processes that start at the same time begin at different places.
        let offset = std::process::id().wrapping_mul(977);
        for _ in 0..TRIES_MAX {
            let step = offset.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
            let port = range.start + u16::try_from(step % span).expect("less than the span");
            if let Some(lease) = Self::try_port(port) {
                return Ok(lease);
            }
        }
        Err(ClusterError::NoPort { tried: TRIES_MAX })
    }

    fn try_port(port: u16) -> Option<Self> {
        let mark = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(Self { port, _mark: mark })
    }

    /// The address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))
    }
}

fn candidates() -> Range<u16> {
    let handed_out_from = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<u16>().ok())
        .unwrap_or(HANDED_OUT_FROM);
    if handed_out_from >= LOWEST + ENOUGH {
        LOWEST..handed_out_from
    } else {
        LOWEST..u16::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_port_is_free_for_a_server_and_taken_for_other_leases() {
        let leases: Vec<_> = (0..20).map(|_| PortLease::take().unwrap()).collect();
        for lease in &leases {
            TcpListener::bind(lease.address()).unwrap();
            assert!(PortLease::try_port(lease.port).is_none());
        }
    }

    #[test]
    fn a_port_in_use_is_not_leased() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(PortLease::try_port(port).is_none());
    }
}
