//! The gRPC services: input is checked here, calls find their way to the leader here, and every
//! error gets its code. Nothing here holds state of a transaction.

pub(crate) mod answer;
mod cluster;
mod commit;
mod commit_many;
mod deadline;
mod forward;
mod late;
mod members;
mod participants;
mod removal;
mod transactions;
mod watch;

pub(crate) use cluster::ClusterService;
pub(crate) use late::Late;
pub(crate) use participants::ParticipantsService;
pub(crate) use transactions::TransactionsService;
