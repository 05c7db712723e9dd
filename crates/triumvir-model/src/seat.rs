//! A leader's place: its activation, what it has applied since, and its conductor. A seat whose leader
//! is deposed is one that does nothing any more, which every execution may choose.

use triumvir_protocol::{Conductor, Coordinator, Record};

use crate::shared::Shared;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Seat {
    /// What it has applied.
    pub(crate) coordinator: Shared<Coordinator>,
    /// None once it has applied a later activation.
    pub(crate) conductor: Option<Shared<Conductor>>,
    /// Appended and not applied here, up to the next activation.
    pub(crate) behind: Vec<Shared<Record>>,
    /// One bit for each of the run's asks that was answered here.
    pub(crate) answered: u8,
}
