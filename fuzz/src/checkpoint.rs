//! The reader of checkpoints: files that a disk has damaged, and files that are whole and say
//! anything.
//!
//! The files are those of a job that an earlier headwater left in `tests/checkpoints`.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use headwater_checkpoint::inspection::{inspect, verify};
use headwater_checkpoint::{FileStore, MemoryFiles};
use headwater_core::ErrorKind;

/// Files by their paths within the checkpoint.
type Files = Vec<(String, Vec<u8>)>;

static SAMPLE: LazyLock<Files> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("../tests/checkpoints/v1/windows/checkpoint");
    let mut files = read_below(&folder, Path::new(""));
    files.sort();
    files
});

fn read_below(root: &Path, folder: &Path) -> Files {
    let entries = std::fs::read_dir(root.join(folder)).expect("the sample is there");
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.expect("a folder can be listed");
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            files.extend(read_below(root, &path));
        } else {
            let bytes = std::fs::read(entry.path()).expect("a file can be read");
            files.push((path.to_string_lossy().into_owned(), bytes));
        }
    }
    files
}

fn store_with(path: &str, bytes: &[u8]) -> Arc<dyn FileStore> {
    let store = MemoryFiles::new();
    for (other, content) in SAMPLE.iter() {
        let content = if other == path { bytes } else { content };
        let written = store.write_atomic(other, content);
        written.expect("memory takes every file");
    }
    Arc::new(store)
}

/// Flips bits of a file, and cuts it: `file, length, (place, bits)…`, each place of two bytes.
///
/// Such a file is found: by `verify`, which names it, or because its checkpoint is refused.
pub fn damaged_checkpoint(bytes: &[u8]) {
    let [file, cut, flips @ ..] = bytes else {
        return;
    };
    let (path, good) = &SAMPLE[usize::from(*file) % SAMPLE.len()];
    let mut bad = good.clone();
    // 0 leaves the file as long as it is.
    bad.truncate(bad.len() - usize::from(*cut).min(bad.len()));
    for flip in flips.chunks_exact(3).take(8) {
        let place = usize::from(u16::from_be_bytes([flip[0], flip[1]]));
        if !bad.is_empty() {
            let place = place % bad.len();
            bad[place] ^= flip[2];
        }
    }
    let is_damaged = bad != *good;
    let store = store_with(path, &bad);
    match verify(&store) {
        Ok(files) => {
            let damaged: Vec<_> = files.iter().filter(|f| f.damage.is_some()).collect();
            let names_it = damaged.iter().any(|found| found.path == *path);
            assert_eq!(names_it, is_damaged, "{path}: {damaged:?}");
        }
        Err(error) => {
            assert!(is_damaged, "{error}");
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
            assert!(error.message().contains(path.as_str()), "{path}: {error}");
        }
    }
}

/// Puts any payload into a file, with the length and the checksum that belong to it.
///
/// No disk does that; what is read of it is an answer or an error of kind Checkpoint.
pub fn hostile_checkpoint(bytes: &[u8]) {
    let [file, payload @ ..] = bytes else {
        return;
    };
    let (path, good) = &SAMPLE[usize::from(*file) % SAMPLE.len()];
    let end = good.iter().position(|byte| *byte == b'\n');
    let header = String::from_utf8_lossy(&good[..end.unwrap_or(0)]);
    let words: Vec<&str> = header.split(' ').collect();
    let [name, kind, version, query, ..] = words.as_slice() else {
        panic!("{path} has no header");
    };
    let of_query = match *query {
        "-" => 0,
        query => crc32c::crc32c(query.as_bytes()),
    };
    let checksum = crc32c::crc32c_append(of_query, payload);
    let length = payload.len();
    let mut framed =
        format!("{name} {kind} {version} {query} {length} {checksum:08x}\n").into_bytes();
    framed.extend_from_slice(payload);
    let store = store_with(path, &framed);
    for result in [verify(&store).map(drop), inspect(&store).map(drop)] {
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{path}: {error}");
        }
    }
}
