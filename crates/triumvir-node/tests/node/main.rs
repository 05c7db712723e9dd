//! Three replicas in one process, on sockets of the loopback interface and folders that are thrown
//! away, with participants that speak the real session. Every wait is for a condition.

mod calls;
mod cluster;
mod failover;
mod identity;
mod inspect;
mod limits;
mod participant;
mod sessions;
