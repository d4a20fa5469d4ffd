//! What the simulated disk keeps and loses, and that the protocol of files stands it.

use std::io::Write;

use headwater_core::event_time::EventTime;

use super::*;
use crate::disk::{Disk, DiskFile};
use crate::file_store::FileStore;
use crate::local_files::{LocalFiles, Readers};
use crate::lock::LockOwner;

fn files(disk: &SimDisk) -> headwater_core::Result<LocalFiles> {
    LocalFiles::on_disk(
        Arc::new(disk.clone()),
        Readers::Owner,
        Path::new("/data/files"),
    )
}

fn owner() -> LockOwner {
    LockOwner {
        pid: 0,
        host: String::new(),
        started_at: EventTime(0),
        token: 0,
        query: None,
    }
}

/// Numbers from a seed, by the generator of Steele, Lea and Flood.
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |sides| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let mut file = disk.create_new(Path::new(path), 0).unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// What different losses leave of the file `/x`.
fn outcomes(prepare: fn(&SimDisk)) -> BTreeSet<Option<Vec<u8>>> {
    let after = |seed| {
        let disk = SimDisk::new(Lies::default());
        prepare(&disk);
        disk.power_loss(&mut dice(seed));
        disk.next_process().read(Path::new("/x")).ok()
    };
    (0..200).map(after).collect()
}

#[test]
fn what_is_not_synced_may_be_lost_or_torn() {
    let left = outcomes(|disk| {
        write(disk, "/x", &[1; PAGE + 1000]);
    });
    assert!(left.contains(&None), "the name");
    assert!(left.contains(&Some(vec![])), "all bytes");
    assert!(left.contains(&Some(vec![1; PAGE + 1000])), "nothing");
    let is_torn = |bytes: &Vec<u8>| bytes.contains(&0) && bytes.contains(&1);
    assert!(left.iter().flatten().any(is_torn));
}

#[test]
fn a_synced_file_may_lose_its_name_and_nothing_else() {
    let left = outcomes(|disk| write(disk, "/x", &[1; 9000]).sync().unwrap());
    assert_eq!(left, BTreeSet::from([None, Some(vec![1; 9000])]));
    let left = outcomes(|disk| {
        write(disk, "/x", &[1; 9000]).sync().unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
    });
    assert_eq!(left, BTreeSet::from([Some(vec![1; 9000])]));
}

#[test]
fn a_rename_over_a_file_leaves_one_of_the_two() {
    let left = outcomes(|disk| {
        for (name, byte) in [("/x", 1), ("/y", 2)] {
            write(disk, name, &[byte]).sync().unwrap();
        }
        disk.sync_folder(Path::new("/")).unwrap();
        disk.rename(Path::new("/y"), Path::new("/x")).unwrap();
    });
    assert_eq!(left, BTreeSet::from([Some(vec![1]), Some(vec![2])]));
}

#[test]
fn a_file_that_moves_is_always_somewhere() {
    for seed in 0..200 {
        for synced in [None, Some("/a"), Some("/b")] {
            let disk = SimDisk::new(Lies::default());
            for folder in ["/a", "/b"] {
                disk.create_folder(Path::new(folder), 0).unwrap();
            }
            write(&disk, "/a/x", &[1]).sync().unwrap();
            for folder in ["/", "/a"] {
                disk.sync_folder(Path::new(folder)).unwrap();
            }
            disk.rename(Path::new("/a/x"), Path::new("/b/x")).unwrap();
            if let Some(folder) = synced {
                disk.sync_folder(Path::new(folder)).unwrap();
            }
            disk.power_loss(&mut dice(seed));
            let disk = disk.next_process();
            let at = |path| disk.read(Path::new(path)).is_ok();
            assert!(at("/a/x") || at("/b/x"), "seed {seed}, synced {synced:?}");
            assert!(synced.is_none() || at("/b/x"), "seed {seed}");
        }
    }
}

/// A process writes files, dies or loses power anywhere, and the next looks for what was promised.
/// Gives what is broken.
fn broken_promise(seed: u64, lies: Lies) -> Option<String> {
    let mut dice = dice(seed);
    let disk = SimDisk::new(lies);
    let mut promised: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for life in 0..6u8 {
        let process = disk.next_process();
        process.die_at(1 + dice(40), dice(2) == 0);
        let mut attempt = None;
        let worked = (|| -> headwater_core::Result<()> {
            let files = files(&process)?;
            let _lock = files.lock(&owner())?;
            for number in 0..6 {
                let path = format!("{}/{number}", ["a", "b/c"][usize::from(dice(2) == 0)]);
                let bytes = vec![life * 8 + number + 1; 1 + dice(9000) as usize];
                attempt = Some((path.clone(), bytes.clone()));
                match dice(3) {
                    0 if files.read(&path)?.is_none() => files.create_new(&path, &bytes)?,
                    _ => files.write_atomic(&path, &bytes)?,
                }
                promised.insert(path, bytes);
            }
            Ok(())
        })();
        match dice(2) {
            0 => disk.kill(),
            _ => disk.power_loss(&mut dice),
        }
        let Ok(found) = files(&disk.next_process()) else {
            return Some("the folder cannot be opened".to_string());
        };
        if worked.is_err()
            && let Some((path, bytes)) = attempt
            && found.read(&path).unwrap().as_ref() == Some(&bytes)
        {
            // It had its effect, without a promise: the next loss may undo it.
            promised.remove(&path);
        }
        for (path, bytes) in &promised {
            if found.read(path).unwrap().as_ref() != Some(bytes) {
                return Some(format!("{path} is lost or damaged after life {life}"));
            }
        }
    }
    None
}

#[test]
fn the_protocol_of_files_keeps_its_promises() {
    for seed in 0..500 {
        let broken = broken_promise(seed, Lies::default());
        assert_eq!(broken, None, "seed {seed}");
    }
}

/// The first process dies at some step of its write, the second sees the file and then loses power.
#[test]
fn a_name_that_an_owner_has_seen_stays() {
    let mut seen = 0;
    for nth in 1..40 {
        let disk = SimDisk::new(Lies::default());
        disk.die_at(nth, true);
        let _ = files(&disk).and_then(|files| files.create_new("a/x", b"one"));
        disk.kill();
        let second = files(&disk.next_process()).unwrap();
        let _lock = second.lock(&owner()).unwrap();
        let is_there = second.read("a/x").unwrap().is_some();
        disk.power_loss(&mut |_| 0);
        let third = files(&disk.next_process()).unwrap();
        assert_eq!(third.read("a/x").unwrap().is_some(), is_there, "{nth}");
        seen += usize::from(is_there);
    }
    assert!(seen > 2);
}

#[test]
fn a_protocol_without_a_sync_breaks_its_promises() {
    for (about_files, about_folders) in [(true, false), (false, true)] {
        let lies = Lies {
            about_files,
            about_folders,
        };
        let broken = (0..20).filter(|seed| broken_promise(*seed, lies).is_some());
        assert!(broken.count() > 5, "{lies:?}");
    }
}
