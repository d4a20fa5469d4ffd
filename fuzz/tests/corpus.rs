//! Every file of the corpus, through its target: what was found once is not found again.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use headwater_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_target_has_an_executable_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    let executables = names_in(&folder("fuzz_targets"));
    let executables: BTreeSet<_> = executables
        .iter()
        .map(|file| file.trim_end_matches(".rs").to_string())
        .collect();
    assert_eq!(executables, targets);
    assert_eq!(names_in(&folder("corpus")), targets);
}

#[test]
fn the_corpus_passes() {
    for (name, target) in TARGETS {
        let corpus = folder("corpus").join(name);
        for file in names_in(&corpus) {
            // Shown if the target panics.
            eprintln!("{name}/{file}");
            target(&std::fs::read(corpus.join(file)).unwrap());
        }
    }
}
