//! The two files of the log, and the order of the records in them. What is read again after a stop is
//! decided here; when the database's own file is durable is not known here, only said to it.

use std::io;

use redb::StorageBackend;
use twox_hash::XxHash3_64;

use super::BLOCK_BYTES;
use super::layer::Layer;
use super::record::{self, Header, Record};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// "TVLOG" and the version of this form.
const MAGIC: u64 = u64::from_le_bytes(*b"TVLOG\0\0\x01");
/// How much of a file is searched at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Above this the memory of a force is given back after it.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// The log's files, of which one is written to. The other one's records are older; before it is
/// written to again, all of them are durable in the database's own file, and a record says so.
pub(super) struct Log<B> {
    files: [B; 2],
    lens: [u64; 2],
    /// The last sequence in each.
    lasts: [u64; 2],
    salt: u64,
    current: usize,
    /// The last sequence of all.
    last: u64,
    /// Where the next record begins.
    at: u64,
    /// What the last record says of the database's own file.
    floor: u64,
    buffer: Vec<u8>,
}

impl<B: StorageBackend> Log<B> {
    /// Opens the log of `main`, and brings `main` to what was last forced. Empty files and an empty
    /// `main` are a new log, whose files have `len` bytes each and whose checksums begin at `salt`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when the files cannot be what was written: then nothing was
    /// changed. Others are those of reading and writing.
    pub(super) fn open(main: &B, files: [B; 2], len: u64, salt: u64) -> io::Result<Self> {
        let lens = [files[0].len()?, files[1].len()?];
        let salts = [
            read_head(&files[0], lens[0])?,
            read_head(&files[1], lens[1])?,
        ];
        match salts {
            [Some(salt), Some(other)] if salt == other => {
                let log = Self::recover(main, files, lens, salt)?;
                // Nothing was forced yet, and it may be that the beginnings were not either.
                match log.last {
                    0 => Self::create(log.files, len.max(lens[0]).max(lens[1]), log.salt),
                    _ => Ok(log),
                }
            }
            // Not even the files' beginnings were forced, of which the first one's comes first.
            [_, None] if main.len()? == 0 && are_blank(&files, lens)? => {
                Self::create(files, len, salt)
            }
            _ if lens == [0, 0] => {
                let why = "the write-ahead log beside it is missing; a folder of a version of \
                           triumvir that had none cannot be read";
                Err(damaged(why))
            }
            _ => Err(damaged("its write-ahead log is damaged, or not its own")),
        }
    }

    fn create(files: [B; 2], len: u64, salt: u64) -> io::Result<Self> {
        let len = len.max(4 * BLOCK);
        for file in &files {
            file.set_len(len)?;
            file.write(0, &head(salt, len))?;
            file.sync_data()?;
        }
        Ok(Self {
            files,
            lens: [len; 2],
            lasts: [0; 2],
            salt,
            current: 0,
            last: 0,
            at: BLOCK,
            floor: 0,
            buffer: Vec::new(),
        })
    }

    fn recover(main: &B, files: [B; 2], lens: [u64; 2], salt: u64) -> io::Result<Self> {
        let chains = [
            Chain::read(&files[0], lens[0], salt)?,
            Chain::read(&files[1], lens[1], salt)?,
        ];
        let lasts = [chains[0].last, chains[1].last];
        let current = usize::from(lasts[1] > lasts[0]);
        let [newer, older] = [&chains[current], &chains[1 - current]];
        for place in 0..2 {
            nothing_newer(
                &files[place],
                lens[place],
                chains[place].end,
                newer.last,
                salt,
            )?;
        }
        let needs_older = newer.first > newer.floor + 1;
        let has_older = older.first <= newer.floor + 1 && older.last + 1 == newer.first;
        if needs_older && !has_older {
            return Err(damaged("records of its write-ahead log are missing"));
        }
        // Whatever the log does not have is in the file: at the least, it was not empty.
        let found = main.len()?;
        let fits = if newer.floor == newer.last {
            found == newer.len
        } else {
            found > 0 || newer.floor == 0
        };
        if !fits {
            return Err(damaged(
                "it is not the file that its write-ahead log belongs to",
            ));
        }
        let (at, floor, last, len) = (newer.end, newer.floor, newer.last, newer.len);
        let mut log = Self {
            files,
            lens,
            lasts,
            salt,
            current,
            last,
            at,
            floor,
            buffer: Vec::new(),
        };
        if last > 0 {
            log.force_last_again()?;
        }
        if floor < last {
            let mut written = Layer::over(found);
            if needs_older {
                log.gather(1 - current, &mut written)?;
            }
            log.gather(current, &mut written)?;
            written.write_to(main)?;
            main.sync_data()?;
            log.mark(last, len)?;
        }
        Ok(log)
    }

    /// Forces the last record once more. That it can be read does not prove that it is durable: the
    /// process may have been killed, or the disk have refused, before.
    fn force_last_again(&self) -> io::Result<()> {
        let (file, mut at) = (&self.files[self.current], BLOCK);
        let record = loop {
            let record = self.record(self.current, at)?;
            if record.header.sequence == self.last {
                break record;
            }
            at += record.header.size();
        };
        record.write(file, at)?;
        file.sync_data()
    }

    /// Lays onto `written` what the records of a file say that are not known to be in the database's own.
    fn gather(&self, place: usize, written: &mut Layer) -> io::Result<()> {
        let mut at = BLOCK;
        loop {
            let record = self.record(place, at)?;
            if record.header.sequence > self.floor {
                written.absorb(record.layer());
            }
            if record.header.sequence == self.lasts[place] {
                return Ok(());
            }
            at += record.header.size();
        }
    }

    /// The record at `at`, where one was before.
    fn record(&self, place: usize, at: u64) -> io::Result<Record> {
        let record = Record::read(&self.files[place], self.lens[place], at, self.salt)?;
        record.ok_or_else(|| damaged("its write-ahead log has changed while it was read"))
    }

    /// The sequence of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether the last record says that the database's own file has everything: nothing is to be done
    /// again.
    pub(super) fn is_marked(&self) -> bool {
        self.floor == self.last
    }

    /// The last sequence that was written before the file that is written to.
    pub(super) fn last_of_other(&self) -> u64 {
        self.lasts[1 - self.current]
    }

    /// Whether a record of `count` blocks has a place in the file that is written to. One block is kept
    /// back for [`Log::mark`].
    pub(super) fn has_room(&self, count: usize) -> bool {
        self.at + record::size(count) as u64 + BLOCK <= self.lens[self.current]
    }

    /// Goes on in the other file, which grows when a record of `count` blocks needs it. Everything in it
    /// must be durable in the database's own file, which has everything up to `floor`; `len` is the length
    /// after the last record.
    pub(super) fn turn(&mut self, count: usize, floor: u64, len: u64) -> io::Result<()> {
        assert!(
            self.last_of_other() <= floor,
            "what is overwritten is needed no longer"
        );
        if self.floor < self.last_of_other() {
            self.mark(floor, len)?;
        }
        self.current = 1 - self.current;
        self.at = BLOCK;
        if !self.has_room(count) {
            let len = self.at + record::size(count) as u64 + BLOCK;
            self.files[self.current].set_len(len)?;
            self.lens[self.current] = len;
        }
        Ok(())
    }

    /// Forces a record without blocks, which says that the database's own file has everything up to
    /// `floor`, and `len` bytes after the last record. If that is all there is, there is nothing to be
    /// done again.
    pub(super) fn mark(&mut self, floor: u64, len: u64) -> io::Result<()> {
        let all = floor == self.last;
        self.append(floor + u64::from(all), &Layer::over(len))
    }

    /// Forces what was `written`, and with it that the database's own file has everything up to `floor`.
    pub(super) fn append(&mut self, floor: u64, written: &Layer) -> io::Result<()> {
        let sequence = self.last + 1;
        record::encode(&mut self.buffer, self.salt, sequence, floor, written);
        let file = &self.files[self.current];
        file.write(self.at, &self.buffer)?;
        file.sync_data()?;
        self.at += self.buffer.len() as u64;
        self.lasts[self.current] = sequence;
        self.last = sequence;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES_MAX);
        self.floor = floor;
        Ok(())
    }
}

/// The records of one file that follow each other from its beginning.
struct Chain {
    first: u64,
    last: u64,
    /// What the last one says of the database's own file.
    floor: u64,
    /// The length of that one.
    len: u64,
    /// Where the next one would begin.
    end: u64,
}

impl Chain {
    fn read(file: &impl StorageBackend, len: u64, salt: u64) -> io::Result<Self> {
        let mut chain = Self {
            first: 1,
            last: 0,
            floor: 0,
            len: 0,
            end: BLOCK,
        };
        while let Some(Record { header, .. }) = Record::read(file, len, chain.end, salt)? {
            if chain.end == BLOCK {
                chain.first = header.sequence;
            } else if header.sequence != chain.last + 1 {
                break; // From before the file was begun anew.
            }
            (chain.last, chain.floor, chain.len) = (header.sequence, header.floor, header.len);
            chain.end += header.size();
        }
        Ok(chain)
    }
}

/// Checks that from `at` on there is no record but of those that were overwritten, and of the one that
/// was being written: anything newer proves that one which was forced has been damaged since.
fn nothing_newer(
    file: &impl StorageBackend,
    len: u64,
    mut at: u64,
    last: u64,
    salt: u64,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    while at + BLOCK <= len {
        let whole = (len - at).min(CHUNK_BYTES as u64) / BLOCK * BLOCK;
        let chunk = &mut chunk[..whole as usize];
        file.read(at, chunk)?;
        let headers = chunk
            .chunks(BLOCK_BYTES)
            .filter_map(|block| Header::read(block, salt));
        if headers.into_iter().any(|header| header.sequence > last + 1) {
            let why = "a record in the midst of its write-ahead log is damaged";
            return Err(damaged(why));
        }
        at += whole;
    }
    Ok(())
}

/// Whether nothing was ever written to the files but their beginnings.
fn are_blank(files: &[impl StorageBackend; 2], lens: [u64; 2]) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for (file, len) in files.iter().zip(lens) {
        for at in (BLOCK..len).step_by(CHUNK_BYTES) {
            let chunk = &mut chunk[..(len - at).min(CHUNK_BYTES as u64) as usize];
            file.read(at, chunk)?;
            if chunk.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The first bytes of a file of the log.
fn head(salt: u64, len: u64) -> [u8; 32] {
    let mut head = [0; 32];
    for (field, at) in [MAGIC, salt, len].iter().zip((0..).step_by(8)) {
        head[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    let sum = XxHash3_64::oneshot_with_seed(salt, &head[..24]);
    head[24..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The salt of a file of the log that has `len` bytes; none when its beginning is not one.
fn read_head(file: &impl StorageBackend, len: u64) -> io::Result<Option<u64>> {
    if len < BLOCK {
        return Ok(None);
    }
    let mut found = [0; 32];
    file.read(0, &mut found)?;
    let field = |at: usize| u64::from_le_bytes(found[at..at + 8].try_into().expect("eight bytes"));
    let (salt, created) = (field(8), field(16));
    Ok((found == head(salt, created) && len >= created).then_some(salt))
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
