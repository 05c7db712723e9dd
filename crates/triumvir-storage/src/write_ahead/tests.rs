//! The log against a file in memory: after any number of crashes, each in the midst of anything, the
//! database finds exactly what it had at its last force, or at the one that was under way.

use std::io;

use super::*;
use crate::power_loss::{Disk, Power, Random};

const SEEDS: u64 = 400;
const LIVES: u64 = 6;
const STEPS: u64 = 120;
/// The most bytes of the file.
const LEN_MAX: u64 = 40 * BLOCK_BYTES as u64;
/// A log of few blocks, so that it is gone through often.
const LOG_LEN: u64 = 24 * BLOCK_BYTES as u64;

type Disks = [Disk; 3];

fn open([main, log, other]: Disks) -> io::Result<WriteAhead<Disk>> {
    WriteAhead::open(main, [log, other], LOG_LEN, 7, Forcing::InTurn)
}

fn content(ahead: &WriteAhead<Disk>) -> Vec<u8> {
    let mut all = vec![1; usize::try_from(ahead.len().unwrap()).unwrap()];
    ahead.read(0, &mut all).unwrap();
    all
}

/// What the file must be.
struct Model {
    /// What was written.
    image: Vec<u8>,
    /// What was forced.
    forced: Vec<u8>,
    /// What was to be forced when the power went.
    under_way: Option<Vec<u8>>,
}

impl Model {
    /// One step of a database; false once the power is off.
    fn step(&mut self, ahead: &WriteAhead<Disk>, random: &mut Random) -> bool {
        let len = self.image.len() as u64;
        match random.below(12) {
            0 => {
                let len = random.below(LEN_MAX);
                ahead.set_len(len).unwrap();
                self.image.resize(len as usize, 0);
            }
            1..=7 if len > 0 => {
                let offset = random.below(len);
                let most = (len - offset).min(3 * BLOCK_BYTES as u64);
                let data = vec![random.below(255) as u8 + 1; 1 + random.below(most) as usize];
                if ahead.write(offset, &data).is_err() {
                    return false;
                }
                self.image[offset as usize..][..data.len()].copy_from_slice(&data);
            }
            8 => {
                ahead.checkpoint();
            }
            _ => {
                if ahead.sync_data().is_err() {
                    self.under_way = Some(self.image.clone());
                    return false;
                }
                self.forced.clone_from(&self.image);
            }
        }
        let offset = random.below(self.image.len() as u64 + 1) as usize;
        let mut found = vec![1; random.below((self.image.len() - offset) as u64 + 1) as usize];
        ahead.read(offset as u64, &mut found).unwrap();
        let expected = &self.image[offset..][..found.len()];
        assert!(found == expected, "{} bytes at {offset}", found.len());
        true
    }
}

#[test]
fn what_was_forced_is_there_after_any_crashes() {
    let (mut crashes, mut kept, mut cut_short) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = Random::new(seed + 1);
        let power = Power::new(u64::MAX);
        let mut disks = [(); 3].map(|()| power.disk(Vec::new()));
        let (mut forced, mut under_way) = (Vec::new(), None);
        for life in 0..LIVES {
            let last = life + 1 == LIVES;
            let power = match last {
                true => Power::new(u64::MAX),
                false if random.below(2) == 0 => Power::new(random.below(60)),
                // Recovery, and not much more.
                false => Power::new(random.below(10)),
            };
            disks = match random.below(2) {
                // The power was gone.
                0 => disks.map(|disk| power.disk(disk.platter(&mut random))),
                // Only the process was.
                _ => disks.map(|disk| disk.reopened(&power)),
            };
            let ahead = match open(disks.clone()) {
                Ok(ahead) => ahead,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::Other, "seed {seed}: {error}");
                    cut_short += 1;
                    continue;
                }
            };
            let found = content(&ahead);
            if found != forced {
                let was_under_way = under_way.as_ref() == Some(&found);
                assert!(
                    was_under_way,
                    "seed {seed}, life {life}: {} bytes",
                    found.len()
                );
                kept += 1;
            }
            let mut model = Model {
                image: found.clone(),
                forced: found,
                under_way: None,
            };
            let steps = if last { 0 } else { random.below(STEPS) };
            for _ in 0..steps {
                if !model.step(&ahead, &mut random) {
                    crashes += 1;
                    break;
                }
            }
            if random.below(4) == 0 {
                // It is closed in order, as far as the power reaches.
                let _ = ahead.close();
            }
            power.cut();
            (forced, under_way) = (model.forced, model.under_way);
        }
    }
    // The test must have tested something: forces were cut short and kept, and recoveries cut short.
    let seen = (crashes, kept, cut_short);
    assert!(crashes > 200 && kept > 30 && cut_short > 100, "{seen:?}");
}

#[test]
fn when_the_file_cannot_be_written_forces_fail_and_nothing_is_lost() {
    let (own, of_logs) = (Power::new(4), Power::new(u64::MAX));
    let disks = [&own, &of_logs, &of_logs].map(|power| power.disk(Vec::new()));
    let [main, log, other] = disks.clone();
    let ahead = WriteAhead::open(main, [log, other], LOG_LEN, 7, Forcing::Beside).unwrap();
    ahead.set_len(LEN_MAX).unwrap();
    let mut forced = Vec::new();
    let error = loop {
        let block = forced.len() % 30;
        let data = [forced.len() as u8 + 1; BLOCK_BYTES];
        ahead.write((block * BLOCK_BYTES) as u64, &data).unwrap();
        match ahead.sync_data() {
            Ok(()) => forced.push((block, data)),
            Err(error) => break error,
        }
    };
    // The log was filled at least once: only then is the file written.
    assert!(forced.len() > 10, "{} forces before: {error}", forced.len());
    assert!(ahead.sync_data().is_err());
    drop(ahead);
    let power = Power::new(u64::MAX);
    let ahead = open(disks.map(|disk| disk.reopened(&power))).unwrap();
    let found = content(&ahead);
    // The last one that failed may have been forced in the log.
    for (block, data) in forced.iter().rev().take(20) {
        assert!(
            found[block * BLOCK_BYTES..].starts_with(data),
            "block {block}"
        );
    }
}

#[test]
fn a_record_that_is_larger_than_the_log_has_its_place() {
    let power = Power::new(u64::MAX);
    let disks = [(); 3].map(|()| power.disk(Vec::new()));
    let len = 5 * LOG_LEN;
    for round in 0..4 {
        let ahead = open(disks.clone().map(|disk| disk.reopened(&power))).unwrap();
        assert!(content(&ahead).iter().all(|byte| *byte == round));
        ahead.set_len(len).unwrap();
        ahead.write(0, &vec![round + 1; len as usize]).unwrap();
        ahead.sync_data().unwrap();
    }
}

#[test]
fn the_log_may_be_full_when_it_is_opened() {
    for forces in 1..24_u64 {
        let power = Power::new(u64::MAX);
        let disks = [(); 3].map(|()| power.disk(Vec::new()));
        let mut expected = vec![0; LEN_MAX as usize];
        // Killed, opened again and killed, opened again and closed.
        for round in 1..4 {
            let [main, log, other] = disks.clone();
            let ahead = WriteAhead::open(main, [log, other], LOG_LEN, 7, Forcing::Beside).unwrap();
            assert!(
                round == 1 || content(&ahead) == expected,
                "{forces}, {round}"
            );
            ahead.set_len(LEN_MAX).unwrap();
            for at in 0..forces * round {
                let offset = (at % 40) as usize * BLOCK_BYTES;
                let data = [(at + round) as u8; BLOCK_BYTES];
                ahead.write(offset as u64, &data).unwrap();
                ahead.sync_data().unwrap();
                expected[offset..][..BLOCK_BYTES].copy_from_slice(&data);
            }
            if round == 3 {
                ahead.close().unwrap();
            }
        }
        let ahead = open(disks).unwrap();
        assert!(content(&ahead) == expected, "{forces}");
    }
}

#[test]
fn what_is_read_is_not_believed_to_be_forced() {
    let power = Power::new(u64::MAX);
    let disks = [(); 3].map(|()| power.disk(Vec::new()));
    let ahead = open(disks.clone()).unwrap();
    ahead.set_len(LEN_MAX).unwrap();
    ahead.write(0, &[1; BLOCK_BYTES]).unwrap();
    ahead.sync_data().unwrap();
    disks[1].fail_next_sync();
    assert!(ahead.close().is_err());
    drop(ahead);
    // The mark that closing wrote can be read, and is not on the platter.
    let ahead = open(disks.clone().map(|disk| disk.reopened(&power))).unwrap();
    ahead.write(0, &[2; BLOCK_BYTES]).unwrap();
    ahead.sync_data().unwrap();
    drop(ahead);
    let platters = disks.map(|disk| power.disk(disk.platter(&mut Random::new(1))));
    assert!(content(&open(platters).unwrap()).starts_with(&[2; BLOCK_BYTES]));
}

#[test]
fn a_hole_in_the_log_is_refused() {
    let power = Power::new(u64::MAX);
    let disks = [(); 3].map(|()| power.disk(Vec::new()));
    let [main, log, other] = disks.clone();
    let ahead = WriteAhead::open(main, [log, other], 8 << 20, 7, Forcing::InTurn).unwrap();
    ahead.set_len(LEN_MAX).unwrap();
    for round in 0..900_u32 {
        ahead.write(0, &round.to_le_bytes()).unwrap();
        ahead.sync_data().unwrap();
    }
    drop(ahead);
    disks[1].write(100 * 4096, &vec![0; 6 << 20]).unwrap();
    let refused = open(disks.map(|disk| disk.reopened(&power))).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}
