//! How large keys, values and the operations of a branch may be. Only sizes are judged here, never
//! bytes.

use crate::{CodecError, Operation, Value};

/// The largest key: 4 KiB.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// The largest value: 1 MiB.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The most operations of one branch.
pub const OPERATIONS_MAX: usize = 1024;
/// The most that the operations of one branch take, on the wire or counted: 2 MiB. An operation
/// counts as its key, its value and 64 bytes, which is more than it takes on the wire.
pub const OPERATIONS_BYTES_MAX: usize = 2 << 20;
/// The most that the results of one branch take, on the wire or counted: 2 MiB. A result counts as
/// its value and 64 bytes.
pub const RESULTS_BYTES_MAX: usize = 2 << 20;

/// More than an operation or a result takes on the wire beside its key and its bytes: at most six
/// nested fields of a tag byte and a length of up to four bytes, or three numbers of ten, and a
/// share of the version.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Whether the operations of a branch are within all limits.
pub(crate) fn check_operations(operations: &[Operation]) -> Result<(), CodecError> {
    let count = operations.len();
    if count > OPERATIONS_MAX {
        return Err(CodecError::TooMany { count });
    }
    let mut bytes = 0;
    for operation in operations {
        let key = operation.key().as_bytes();
        check_key(key)?;
        bytes += ENTRY_OVERHEAD_BYTES + key.len();
        if let Operation::Put { value, .. }
        | Operation::Expect {
            expected: Some(value),
            ..
        } = operation
        {
            check_value(value)?;
            bytes += value.size();
        }
    }
    if bytes > OPERATIONS_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes });
    }
    Ok(())
}

pub(crate) fn check_key(key: &[u8]) -> Result<(), CodecError> {
    match key.len() {
        bytes if bytes > KEY_BYTES_MAX => Err(CodecError::KeyTooLarge { bytes }),
        _ => Ok(()),
    }
}

pub(crate) fn check_value(value: &Value) -> Result<(), CodecError> {
    match value.size() {
        bytes if bytes > VALUE_BYTES_MAX => Err(CodecError::ValueTooLarge { bytes }),
        _ => Ok(()),
    }
}
