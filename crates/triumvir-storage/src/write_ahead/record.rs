//! One record of the log: what one force made durable. Whether it counts is not decided here.

use std::io;

use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::BLOCK_BYTES;
use super::layer::Layer;

/// "TVAHEAD" and the version of this form.
const MAGIC: u64 = u64::from_le_bytes(*b"TVAHEAD\x01");
/// The bytes of a header before the numbers of the blocks.
const HEADER_BYTES: usize = 64;
/// The bytes of a header that its own checksum covers.
const COVERED_BYTES: usize = HEADER_BYTES - 8;

/// What a record says beside its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// One more than that of the record before.
    pub(super) sequence: u64,
    /// Every record up to this one was durable in the database's own file when this one was written.
    pub(super) floor: u64,
    /// The file is first cut to this length, if it is longer,
    pub(super) kept: u64,
    /// then has this one.
    pub(super) len: u64,
    /// How many blocks follow.
    count: usize,
    body_sum: u64,
}

/// A record whose checksums are right.
pub(super) struct Record {
    pub(super) header: Header,
    bytes: Vec<u8>,
}

/// How many bytes a record with `count` blocks takes.
pub(super) fn size(count: usize) -> usize {
    head(count) + count * BLOCK_BYTES
}

/// How many of them come before the first block.
fn head(count: usize) -> usize {
    (HEADER_BYTES + 8 * count).next_multiple_of(BLOCK_BYTES)
}

/// Puts the record of what was `written` into `buffer`, in place of what is there.
pub(super) fn encode(buffer: &mut Vec<u8>, salt: u64, sequence: u64, floor: u64, written: &Layer) {
    let blocks = written.blocks();
    let count = blocks.len();
    buffer.clear();
    buffer.resize(head(count), 0);
    buffer.reserve(count * BLOCK_BYTES);
    for (place, (block, content)) in blocks.enumerate() {
        let at = HEADER_BYTES + 8 * place;
        buffer[at..at + 8].copy_from_slice(&block.to_le_bytes());
        buffer.extend_from_slice(content);
    }
    let body_sum = XxHash3_64::oneshot_with_seed(salt, &buffer[HEADER_BYTES..]);
    let fields = [
        MAGIC,
        sequence,
        floor,
        written.kept(),
        written.len(),
        count as u64,
        body_sum,
    ];
    for (field, at) in fields.iter().zip((0..).step_by(8)) {
        buffer[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    let sum = XxHash3_64::oneshot_with_seed(salt, &buffer[..COVERED_BYTES]);
    buffer[COVERED_BYTES..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
}

impl Header {
    /// The header in the first bytes of `block`, if one is there.
    pub(super) fn read(block: &[u8], salt: u64) -> Option<Self> {
        let sum = XxHash3_64::oneshot_with_seed(salt, &block[..COVERED_BYTES]);
        (field(block, 0) == MAGIC && field(block, 7) == sum).then(|| Self::fields(block))
    }

    fn fields(block: &[u8]) -> Self {
        Self {
            sequence: field(block, 1),
            floor: field(block, 2),
            kept: field(block, 3),
            len: field(block, 4),
            count: field(block, 5) as usize,
            body_sum: field(block, 6),
        }
    }

    /// How many bytes the record takes.
    pub(super) fn size(&self) -> u64 {
        size(self.count) as u64
    }
}

fn field(block: &[u8], place: usize) -> u64 {
    let bytes = block[8 * place..8 * place + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}

impl Record {
    /// The record at `at` in `log`, which is `len` bytes long; none when what is there is not whole.
    pub(super) fn read(
        log: &impl StorageBackend,
        len: u64,
        at: u64,
        salt: u64,
    ) -> io::Result<Option<Self>> {
        if at + BLOCK_BYTES as u64 > len {
            return Ok(None);
        }
        let mut bytes = vec![0; BLOCK_BYTES];
        log.read(at, &mut bytes)?;
        let Some(header) = Header::read(&bytes, salt) else {
            return Ok(None);
        };
        if at.saturating_add(header.size()) > len {
            return Ok(None);
        }
        bytes.resize(size(header.count), 0);
        log.read(at, &mut bytes)?;
        let whole = XxHash3_64::oneshot_with_seed(salt, &bytes[HEADER_BYTES..]) == header.body_sum;
        Ok(whole.then_some(Self { header, bytes }))
    }

    /// Writes the same bytes to `at` in `log`.
    pub(super) fn write(&self, log: &impl StorageBackend, at: u64) -> io::Result<()> {
        log.write(at, &self.bytes)
    }

    /// What was written.
    pub(super) fn layer(&self) -> Layer {
        let count = self.header.count;
        let numbers = self.bytes[HEADER_BYTES..].as_chunks::<8>().0[..count].iter();
        let contents = self.bytes[head(count)..]
            .as_chunks::<BLOCK_BYTES>()
            .0
            .iter();
        let blocks = numbers.map(|number| u64::from_le_bytes(*number));
        Layer::recorded(
            self.header.kept,
            self.header.len,
            blocks.zip(contents.copied()),
        )
    }
}
