//! Disks that lose power, for tests: what was not synced is dropped, kept or torn, sector by sector.
//! They behave the same for the same seed and the same sequence of calls.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;

/// A small generator of pseudo-random numbers (xorshift64*), so that a failure can be repeated.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next one, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// What disks share: they fail together. Clones are the same.
#[derive(Debug, Clone)]
pub struct Power {
    /// How many more calls that change something succeed.
    calls_left: Arc<Mutex<u64>>,
}

impl Power {
    /// Power that goes for good after `calls` changing calls.
    #[must_use]
    pub fn new(calls: u64) -> Self {
        let calls_left = Arc::new(Mutex::new(calls));
        Self { calls_left }
    }

    /// A disk of this power that holds `content`.
    #[must_use]
    pub fn disk(&self, content: Vec<u8>) -> Disk {
        let state = State {
            image: content.clone(),
            durable: content,
            pending: Vec::new(),
            failing: false,
        };
        Disk {
            power: self.clone(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Cuts it now.
    pub fn cut(&self) {
        *self.left() = 0;
    }

    fn spend(&self) -> io::Result<()> {
        let mut left = self.left();
        *left = left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the power is off"))?;
        Ok(())
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.calls_left.lock().expect("no panic while it is held")
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct Disk {
    power: Power,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// What a reader sees.
    image: Vec<u8>,
    /// What is on the platter.
    durable: Vec<u8>,
    /// Writes and changes of length since the last sync.
    pending: Vec<Change>,
    /// The next sync fails, and what it should have forced is taken for forced.
    failing: bool,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Disk {
    /// What is found on the platter once the power, which must be off, is back.
    #[must_use]
    pub fn platter(&self, random: &mut Random) -> Vec<u8> {
        let state = self.lock();
        let mut found = state.durable.clone();
        for change in &state.pending {
            match change {
                Change::Length(length) => found.resize(*length, 0),
                Change::Write(offset, data) => tear(&mut found, *offset, data, random),
            }
        }
        found
    }

    /// Lets the next force fail as on a broken disk: what it was to force is still read, and never comes
    /// to the platter unless it is written again.
    pub fn fail_next_sync(&self) {
        self.lock().failing = true;
    }

    /// The same disk for another process, after one was killed: what was written is there, and what was
    /// not forced may still be lost.
    #[must_use]
    pub fn reopened(&self, power: &Power) -> Self {
        Self {
            power: power.clone(),
            state: self.state.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }
}

/// Writes all, none, or some sectors of `data`.
fn tear(found: &mut Vec<u8>, offset: usize, data: &[u8], random: &mut Random) {
    let fate = random.below(3);
    for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
        if fate == 0 || (fate == 1 && random.below(2) == 0) {
            continue;
        }
        write(found, offset + number * SECTOR_BYTES, sector);
    }
}

fn write(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let start = usize::try_from(offset).expect("it fits into memory");
        let bytes = state.image.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.power.spend()?;
        let mut state = self.lock();
        let length = usize::try_from(len).expect("it fits into memory");
        state.image.resize(length, 0);
        state.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.power.spend()?;
        let mut state = self.lock();
        let State {
            durable,
            pending,
            failing,
            ..
        } = &mut *state;
        if std::mem::take(failing) {
            pending.clear();
            return Err(io::Error::other("the disk is broken"));
        }
        for change in pending.drain(..) {
            match change {
                Change::Length(length) => durable.resize(length, 0),
                Change::Write(offset, data) => write(durable, offset, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.power.spend()?;
        let mut state = self.lock();
        let offset = usize::try_from(offset).expect("it fits into memory");
        write(&mut state.image, offset, data);
        state.pending.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
