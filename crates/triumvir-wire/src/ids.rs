//! Identifiers: 16 or 32 bytes, most significant byte first.
//!
//! Each function that reads takes the name of the field, for its error.

use bytes::Bytes;
use triumvir_protocol::{Digest, DiskId, Horizon, ParticipantId, TxnId};
use uuid::{Uuid, Variant};

use crate::WireError;

/// A transaction id of 16 bytes, of any UUID version.
pub fn txn(field: &'static str, bytes: &[u8]) -> Result<TxnId, WireError> {
    number(field, bytes).map(TxnId::from_u128)
}

/// A transaction id of 16 bytes, or `None` for an empty field.
pub fn optional_txn(field: &'static str, bytes: &[u8]) -> Result<Option<TxnId>, WireError> {
    if bytes.is_empty() {
        Ok(None)
    } else {
        txn(field, bytes).map(Some)
    }
}

/// A transaction id that a client chose, or `None` for an empty field: it must be a UUIDv7, whose
/// order is the order of time.
pub fn client_txn(field: &'static str, bytes: &[u8]) -> Result<Option<TxnId>, WireError> {
    let txn = optional_txn(field, bytes)?;
    match txn {
        Some(txn) if !is_v7(txn) => Err(WireError::NotV7 { field }),
        txn => Ok(txn),
    }
}

/// Whether the id is a UUIDv7.
pub fn is_v7(txn: TxnId) -> bool {
    let uuid = Uuid::from_u128(txn.as_u128());
    uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122
}

/// The 16 bytes of a transaction id.
pub fn txn_bytes(txn: TxnId) -> Bytes {
    number_bytes(txn.as_u128())
}

/// A digest of 32 bytes.
pub fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, WireError> {
    array(field, bytes).map(Digest)
}

/// The 32 bytes of a digest.
pub fn digest_bytes(digest: Digest) -> Bytes {
    Bytes::from_owner(digest.0)
}

/// The bytes of a transaction id and of a digest, in one piece of memory.
pub(crate) fn about_bytes(txn: TxnId, digest: Digest) -> (Bytes, Bytes) {
    const TXN: usize = size_of::<u128>();
    let mut both = [0; TXN + size_of::<Digest>()];
    both[..TXN].copy_from_slice(&txn.as_u128().to_be_bytes());
    both[TXN..].copy_from_slice(&digest.0);
    let mut txn = Bytes::from_owner(both);
    let digest = txn.split_off(TXN);
    (txn, digest)
}

/// A disk id of 16 bytes.
pub fn disk(field: &'static str, bytes: &[u8]) -> Result<DiskId, WireError> {
    number(field, bytes).map(DiskId)
}

/// A disk id of 16 bytes, or `None` for an empty field.
pub fn optional_disk(field: &'static str, bytes: &[u8]) -> Result<Option<DiskId>, WireError> {
    if bytes.is_empty() {
        Ok(None)
    } else {
        disk(field, bytes).map(Some)
    }
}

/// The 16 bytes of a disk id.
pub fn disk_bytes(disk: DiskId) -> Bytes {
    number_bytes(disk.0)
}

/// A horizon of 16 bytes.
pub fn horizon(field: &'static str, bytes: &[u8]) -> Result<Horizon, WireError> {
    txn(field, bytes).map(Horizon)
}

/// The 16 bytes of a horizon.
pub fn horizon_bytes(horizon: Horizon) -> Bytes {
    txn_bytes(horizon.0)
}

/// Any number of 16 bytes, such as a registration's nonce.
pub fn number(field: &'static str, bytes: &[u8]) -> Result<u128, WireError> {
    array(field, bytes).map(u128::from_be_bytes)
}

/// The 16 bytes of a number.
pub fn number_bytes(number: u128) -> Bytes {
    // Unlike copied ones, these are cloned without an allocation: every field that is encoded is.
    Bytes::from_owner(number.to_be_bytes())
}

/// A participant's id, which is never 0.
pub fn participant(field: &'static str, id: u32) -> Result<ParticipantId, WireError> {
    if id == 0 {
        Err(WireError::Zero { field })
    } else {
        Ok(ParticipantId(id))
    }
}

fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length {
        field,
        expected: N,
        found: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_order_as_bytes_and_come_back() {
        let low = TxnId::at_millis(1_700_000_000_000);
        let high = TxnId::at_millis(1_700_000_000_001);
        assert!(txn_bytes(low) < txn_bytes(high));
        assert_eq!(txn("txn", &txn_bytes(low)), Ok(low));
        assert_eq!(client_txn("txn", b""), Ok(None));
        assert_eq!(
            txn("txn", b"short"),
            Err(WireError::Length {
                field: "txn",
                expected: 16,
                found: 5
            })
        );
    }

    #[test]
    fn a_client_may_only_choose_ids_of_version_7() {
        let good = Uuid::now_v7();
        assert!(client_txn("txn", good.as_bytes()).is_ok());
        let bad = Uuid::new_v4();
        assert_eq!(
            client_txn("txn", bad.as_bytes()),
            Err(WireError::NotV7 { field: "txn" })
        );
    }
}
