//! Exit statuses. They are part of the interface: the table below is in `--help` and in the
//! documentation, and a number never changes its meaning.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command did what it says; a transaction committed.
    Ok = 0,
    /// A defect or an environment that the program cannot work in.
    Internal = 1,
    /// The command line, a file that it names, or the configuration is wrong. Nothing was done.
    Usage = 2,
    /// The transaction is aborted: nothing of it is or will be applied.
    Aborted = 3,
    /// The outcome is not known yet, or no longer.
    Unknown = 4,
    /// The cluster refused the request. Nothing was applied.
    Refused = 5,
    /// Nobody answered, or not in time. Nothing was applied.
    Unreachable = 6,
    /// What was asked for does not hold: the demo's audit, or an abort that came too late.
    Check = 7,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table of exit statuses, for `--help`.
pub(crate) const TABLE: &str = "\
Exit status:
  0  done; of a transaction: committed
  1  internal error
  2  wrong usage or configuration; nothing was done
  3  the transaction is aborted: nothing of it is or will be applied
  4  the outcome is unknown (yet, or no longer): ask again with the same id
  5  refused by the cluster; nothing was applied
  6  nobody answered, or not in time; nothing was applied
  7  what was asked for does not hold: the audit of `demo` failed, or `abort`
     came too late and the transaction is committed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_status() {
        let all = [
            Exit::Ok,
            Exit::Internal,
            Exit::Usage,
            Exit::Aborted,
            Exit::Unknown,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Check,
        ];
        for exit in all {
            assert!(
                TABLE.contains(&format!("\n  {}  ", exit.code())),
                "{exit:?}"
            );
        }
    }
}
