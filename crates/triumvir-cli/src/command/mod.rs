//! The subcommands, one file each: from arguments to a call, and from its answer to what is shown.

pub(crate) mod cluster;
mod cluster_report;
pub(crate) mod commit;
mod commit_report;
pub(crate) mod completions;
pub(crate) mod kv;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod members;
pub(crate) mod participant;
pub(crate) mod removal;
pub(crate) mod server;

use comfy_table::{ColumnConstraint, Table};
use triumvir_client::Client;
use triumvir_wire::v1;

use crate::cli::Globals;
use crate::failure::Failure;

/// A client of the cluster that the command line names.
///
/// # Errors
///
/// The addresses are none.
fn client(globals: &Globals) -> Result<Client, Failure> {
    let builder = Client::builder().coordinators(globals.coordinators());
    Ok(builder.timeout(globals.timeout).build()?)
}

/// The words for an outcome and for its cause.
fn wire_outcome(outcome: Option<&v1::Outcome>) -> (Option<&'static str>, Option<String>) {
    let Some(outcome) = outcome else {
        return (None, None);
    };
    match outcome.decision() {
        v1::Decision::Commit => (Some("committed"), None),
        v1::Decision::Abort => {
            let cause = outcome.cause.as_ref().map(|cause| cause.text.clone());
            (Some("aborted"), cause.filter(|text| !text.is_empty()))
        }
        v1::Decision::Unspecified => (None, None),
    }
}

/// Keeps some columns from being wrapped: ids and times are read, or copied, whole.
fn fixed(mut table: Table, columns: &[usize]) -> Table {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}
