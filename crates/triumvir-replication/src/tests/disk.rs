//! A disk that loses power: what was not synced is dropped, kept or torn, sector by sector. It
//! behaves the same for the same seed and the same sequence of calls.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

const SECTOR_BYTES: usize = 512;

/// A small generator of pseudo-random numbers (xorshift64*), so that a failure can be repeated.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub(super) struct Disk {
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
    /// How many more calls that change something succeed.
    calls_left: u64,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Disk {
    /// A disk that holds `content` and fails for good after `calls` changing calls.
    pub(super) fn new(content: Vec<u8>, calls: u64) -> Self {
        let (image, durable) = (content.clone(), content);
        let state = State {
            image,
            durable,
            pending: Vec::new(),
            calls_left: calls,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Cuts the power, and gives what is found on the platter afterwards.
    pub(super) fn crash(&self, random: &mut Random) -> Vec<u8> {
        let mut state = self.lock();
        state.calls_left = 0;
        let mut found = state.durable.clone();
        for change in &state.pending {
            match change {
                Change::Length(length) => found.resize(*length, 0),
                Change::Write(offset, data) => tear(&mut found, *offset, data, random),
            }
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
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

impl State {
    fn spend(&mut self) -> io::Result<()> {
        if self.calls_left == 0 {
            return Err(io::Error::other("the power is off"));
        }
        self.calls_left -= 1;
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let start = usize::try_from(offset).unwrap();
        let bytes = state.image.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        let length = usize::try_from(len).unwrap();
        state.image.resize(length, 0);
        state.pending.push(Change::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        state.durable = state.image.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        let offset = usize::try_from(offset).unwrap();
        write(&mut state.image, offset, data);
        state.pending.push(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}
