//! What a program is told over gRPC when it is refused: a status whose metadata says all of it.

use std::fmt::Debug;

use anyhow::{Context as _, bail, ensure};
use tonic::Status;
use triumvir_wire::status::{APPLIED_METADATA, CODE_METADATA};
use triumvir_wire::{Applied, Code, Failure};

/// Checks that an answer is a refusal with this code, and says this of the transaction.
pub fn refused<T: Debug>(
    answer: Result<T, Status>,
    code: Code,
    applied: Applied,
) -> anyhow::Result<Failure> {
    let status = match answer {
        Ok(answer) => bail!("not {code} but {answer:?}"),
        Err(status) => status,
    };
    let text = |key| {
        let value = status.metadata().get(key).context(key)?;
        Ok::<_, anyhow::Error>(value.to_str()?.to_owned())
    };
    let (found, says) = (text(CODE_METADATA), text(APPLIED_METADATA));
    let (found, says) = (found.context(format!("{status:?}"))?, says?);
    ensure!(found == code.as_str(), "not {code}: {status:?}");
    ensure!(says == applied.as_str(), "not {applied}: {status:?}");
    ensure!(status.code() == code.grpc(), "{code}: {status:?}");
    Ok(Failure::from_status(&status))
}
