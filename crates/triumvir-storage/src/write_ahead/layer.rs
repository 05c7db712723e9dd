//! Blocks that were written, laid over a file as it was before. Whether they are durable is not known
//! here.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use redb::StorageBackend;

use super::BLOCK_BYTES;

const BLOCK: u64 = BLOCK_BYTES as u64;
/// The most bytes that go into a file at once.
const RUN_BYTES_MAX: usize = 1 << 20;

pub(super) type Block = [u8; BLOCK_BYTES];

/// Written blocks, and the length, over something that has a length too.
pub(super) struct Layer {
    blocks: BTreeMap<u64, Box<Block>>,
    /// The length of what is below.
    below: u64,
    /// Up to here what is below still counts. Beyond, whatever was not written is zero.
    kept: u64,
    len: u64,
}

impl Layer {
    /// Nothing is written yet over what has `len` bytes.
    pub(super) fn over(len: u64) -> Self {
        Self {
            blocks: BTreeMap::new(),
            below: len,
            kept: len,
            len,
        }
    }

    /// What a record says was written: over what is first cut to `kept`, or grown to it.
    pub(super) fn recorded(
        kept: u64,
        len: u64,
        blocks: impl Iterator<Item = (u64, Block)>,
    ) -> Self {
        Self {
            blocks: blocks
                .map(|(at, content)| (at, Box::new(content)))
                .collect(),
            below: kept,
            kept,
            len,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The length of what is below.
    pub(super) fn below(&self) -> u64 {
        self.below
    }

    pub(super) fn kept(&self) -> u64 {
        self.kept
    }

    /// Whether what is below is the same.
    pub(super) fn is_clean(&self) -> bool {
        self.blocks.is_empty() && self.kept == self.below && self.len == self.below
    }

    /// Blocks and their content, in the file's order. The last one may reach over the end.
    pub(super) fn blocks(&self) -> impl ExactSizeIterator<Item = (u64, &Block)> {
        self.blocks.iter().map(|(at, content)| (*at, &**content))
    }

    /// Lays `upper` onto this one.
    pub(super) fn absorb(&mut self, upper: Self) {
        self.set_len(upper.kept);
        self.len = upper.len;
        self.blocks.extend(upper.blocks);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.kept = self.kept.min(len);
            drop(self.blocks.split_off(&len.div_ceil(BLOCK)));
            // What comes after the end is zero, should the file grow again.
            if let Some(last) = self.blocks.get_mut(&(len / BLOCK)) {
                last[(len % BLOCK) as usize..].fill(0);
            }
        }
        self.len = len;
    }

    /// Reads from here, and with `below` what is not here.
    pub(super) fn read(
        &self,
        below: impl Fn(u64, &mut [u8]) -> io::Result<()>,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let end = self.checked_end(offset, out.len())?;
        let own = || self.blocks.range(offset / BLOCK..end.div_ceil(BLOCK));
        let all = end.div_ceil(BLOCK) - offset / BLOCK;
        if self.blocks.is_empty() || (own().count() as u64) < all {
            self.read_below(below, offset, out)?;
        }
        for (block, content) in own() {
            let (into, from) = overlap(*block, offset, out.len());
            let from = from..from + into.len();
            out[into].copy_from_slice(&content[from]);
        }
        Ok(())
    }

    /// Writes here. What is below is read when only a part of a block is written.
    pub(super) fn write(
        &mut self,
        below: impl Fn(u64, &mut [u8]) -> io::Result<()>,
        offset: u64,
        data: &[u8],
    ) -> io::Result<()> {
        let end = self.checked_end(offset, data.len())?;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            let (from, into) = overlap(block, offset, data.len());
            if from.len() == BLOCK_BYTES {
                let whole = Box::<[u8]>::from(&data[from]).try_into();
                self.blocks.insert(block, whole.expect("it has the length"));
                continue;
            }
            if !self.blocks.contains_key(&block) {
                let mut content = Box::new([0; BLOCK_BYTES]);
                self.read_below(&below, block * BLOCK, &mut *content)?;
                self.blocks.insert(block, content);
            }
            let content = self.blocks.get_mut(&block).expect("it is there now");
            content[into..into + from.len()].copy_from_slice(&data[from]);
        }
        Ok(())
    }

    /// Makes `file` what is seen through this layer, neighbouring blocks at once.
    pub(super) fn write_to(&self, file: &impl StorageBackend) -> io::Result<()> {
        let mut len = file.len()?;
        if self.kept < len {
            file.set_len(self.kept)?;
            len = self.kept;
        }
        if self.len != len {
            file.set_len(self.len)?;
        }
        let mut run = Vec::new();
        let mut start = 0;
        for (block, content) in &self.blocks {
            let offset = block * BLOCK;
            if offset != start + run.len() as u64 || run.len() >= RUN_BYTES_MAX {
                self.write_run(file, start, &run)?;
                run.clear();
                start = offset;
            }
            run.extend_from_slice(&**content);
        }
        self.write_run(file, start, &run)
    }

    fn write_run(&self, file: &impl StorageBackend, start: u64, run: &[u8]) -> io::Result<()> {
        let inside = self.len.saturating_sub(start).min(run.len() as u64) as usize;
        match inside {
            0 => Ok(()),
            _ => file.write(start, &run[..inside]),
        }
    }

    /// Reads what still counts of what is below, and zeros beyond.
    fn read_below(
        &self,
        below: impl Fn(u64, &mut [u8]) -> io::Result<()>,
        offset: u64,
        out: &mut [u8],
    ) -> io::Result<()> {
        let valid = self.kept.saturating_sub(offset).min(out.len() as u64) as usize;
        let (valid, zeros) = out.split_at_mut(valid);
        zeros.fill(0);
        match valid.is_empty() {
            true => Ok(()),
            false => below(offset, valid),
        }
    }

    fn checked_end(&self, offset: u64, length: usize) -> io::Result<u64> {
        let end = offset.checked_add(length as u64);
        end.filter(|end| *end <= self.len)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Where `block` lies in `length` bytes from `offset` on, and where in the block that begins.
fn overlap(block: u64, offset: u64, length: usize) -> (Range<usize>, usize) {
    let start = block * BLOCK;
    let first = start.max(offset);
    let last = (start + BLOCK).min(offset + length as u64);
    let range = (first - offset) as usize..(last - offset) as usize;
    (range, (first - start) as usize)
}
