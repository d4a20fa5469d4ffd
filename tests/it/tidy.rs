//! Rules about the tree itself: who may depend on whom, how long a file is, what a page links to.
//!
//! One walk collects every file; every rule is a test that lists all offences at once. The rules
//! stand as a table in `docs/testing.md`. Folders that are built or that tools own are not walked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

mod manifest;
mod pages;
mod tree;

use manifest::{Manifest, parse_manifest};
use pages::{links, resolve};
use tree::{TreeFile, read, root, walk};

/// Crates by layer, lowest first. A crate may use those of lower layers, and in its own layer
/// those to its left. `docs/architecture.md` holds the same table, with reasons.
const LAYERS: [&[&str]; 7] = [
    &["headwater-core"],
    &["headwater-formats", "headwater-checkpoint"],
    &["headwater-kafka", "headwater-connectors", "headwater-exec"],
    &["headwater-plan"],
    &["headwater-sql", "headwater-engine"],
    &["headwater"],
    &["headwater-cli"],
];

/// Crates outside the layers: what tests share, the tasks, and a list of features that any crate
/// may depend on. None of them is shipped.
const FREE_CRATES: [&str; 3] = ["headwater-testkit", "workspace-features", "xtask"];

/// Crates from outside that few may know, and who they are.
const OWNERS: [(&str, &[&str]); 7] = [
    ("rdkafka", &["headwater-kafka"]),
    ("clap", &["headwater-cli", "xtask"]),
    ("rustyline", &["headwater-cli"]),
    ("arrow-ipc", &["headwater-checkpoint"]),
    ("parquet", &["headwater-connectors"]),
    ("ureq", &["headwater-formats"]),
    // It builds last and links slowly, so what can do without it does.
    (
        "datafusion",
        &[
            "headwater-plan",
            "headwater-sql",
            "headwater-engine",
            "headwater",
            "headwater-testkit",
        ],
    ),
];

/// A source file may have this many lines before its first `#[cfg(test)]`. Files that hold nothing
/// but the tests of a crate may have more: `tests.rs`, `*_tests.rs`, and those in `tests/`.
const MAX_LINES: usize = 500;

/// Files that are longer, with a limit of their own and the reason. The list may only shrink.
const LONG_FILES: &[(&str, usize, &str)] = &[];

const MAX_BYTES: u64 = 200_000;

/// Crates of which a second version in the lock file would mean two incompatible sets of types.
const SINGLE_VERSIONS: [&str; 3] = ["arrow", "datafusion", "object_store"];

/// Where Rust files begin with `//!`.
const RUST_ROOTS: [&str; 4] = ["crates/", "tests/", "examples/", "fuzz/"];

/// Words that say that something is unfinished; split, so that this file does not hold them.
const UNFINISHED: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Beginnings of paths that exist on one machine only; split for the same reason.
const MACHINE_PATHS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

fn rust_files(files: &[TreeFile]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().filter_map(|file| {
        let is_rust = file.path.ends_with(".rs");
        let is_ours = RUST_ROOTS
            .iter()
            .any(|folder| file.path.starts_with(folder));
        let text = file.text.as_deref()?;
        (is_rust && is_ours).then_some((file.path.as_str(), text))
    })
}

/// Fails with all offences, one a line.
fn refuse(rule: &str, offences: &[String]) {
    let mut list = String::new();
    for offence in offences {
        let _ = write!(list, "\n  {offence}");
    }
    assert!(offences.is_empty(), "{rule}:{list}");
}

/// The manifests of all crates under `crates/`.
fn manifests() -> Vec<Manifest> {
    let files = walk();
    let is_manifest = |path: &str| path.starts_with("crates/") && path.ends_with("/Cargo.toml");
    let manifests = files.iter().filter(|file| is_manifest(&file.path));
    manifests
        .map(|file| parse_manifest(file.text.as_deref().unwrap_or_default()))
        .collect()
}

/// Layer and place within it.
fn place_of(name: &str) -> Option<(usize, usize)> {
    let mut layers = LAYERS.iter().enumerate();
    layers.find_map(|(layer, names)| {
        let place = names.iter().position(|n| *n == name)?;
        Some((layer, place))
    })
}

#[test]
fn crates_use_lower_layers_only() {
    let mut offences = Vec::new();
    for manifest in manifests() {
        let name = manifest.name.as_str();
        if FREE_CRATES.contains(&name) {
            continue;
        }
        let Some(place) = place_of(name) else {
            offences.push(format!(
                "{name} is in no layer: add it to LAYERS in tidy.rs"
            ));
            continue;
        };
        let is_own = |used: &&String| used.starts_with("headwater");
        for used in manifest.dependencies.iter().filter(is_own) {
            if place_of(used).is_none_or(|other| other >= place) {
                offences.push(format!("{name} depends on {used}"));
            }
        }
        let is_test_help = |used: &&String| !FREE_CRATES.contains(&used.as_str());
        let dev = manifest.dev_dependencies.iter();
        for used in dev.filter(is_own).filter(is_test_help) {
            if place_of(used).is_none_or(|other| other >= place) {
                offences.push(format!("{name} depends on {used} for its tests"));
            }
        }
    }
    refuse("a crate uses crates that are not below it", &offences);
}

#[test]
fn crates_from_outside_have_owners() {
    let mut offences = Vec::new();
    // It knows everything by its nature, and has no code.
    let with_code = |manifest: &Manifest| manifest.name != "workspace-features";
    for manifest in manifests().into_iter().filter(with_code) {
        for (outside, owners) in OWNERS {
            let is_owner = owners.contains(&manifest.name.as_str());
            if manifest.dependencies.contains(outside) && !is_owner {
                let owners = owners.join(", ");
                offences.push(format!(
                    "{} depends on {outside}, which belongs to {owners}",
                    manifest.name
                ));
            }
        }
    }
    refuse(
        "a crate knows an outside thing that is another's",
        &offences,
    );
}

#[test]
fn the_layer_table_of_the_docs_is_that_of_the_code() {
    let page = read("docs/architecture.md");
    let mut documented = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", layer, name, ..] = cells.as_slice()
            && let Ok(layer) = layer.parse::<usize>()
        {
            documented.insert(name.trim_matches('`').to_string(), layer);
        }
    }
    let layers = LAYERS.iter().enumerate();
    let coded: BTreeMap<String, usize> = layers
        .flat_map(|(layer, names)| names.iter().map(move |name| (name.to_string(), layer)))
        .collect();
    assert_eq!(
        documented, coded,
        "docs/architecture.md (left), tidy.rs (right)"
    );
}

#[test]
fn every_file_says_what_it_is() {
    let files = walk();
    let offences: Vec<String> = rust_files(&files)
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.to_string())
        .collect();
    refuse("a file does not begin with `//! `", &offences);
}

#[test]
fn files_are_short() {
    let files = walk();
    let lines: BTreeMap<&str, usize> = rust_files(&files)
        .filter(|(path, _)| !is_test_module(path))
        .map(|(path, text)| (path, lines_before_tests(text)))
        .collect();
    let mut offences = Vec::new();
    for (path, lines) in &lines {
        let exception = LONG_FILES.iter().find(|(long, ..)| long == path);
        let limit = exception.map_or(MAX_LINES, |(_, limit, _)| *limit);
        if *lines > limit {
            offences.push(format!("{path}: {lines} lines, at most {limit}"));
        }
    }
    for (path, _, reason) in LONG_FILES {
        if lines.get(path).is_none_or(|lines| *lines <= MAX_LINES) {
            offences.push(format!("{path}: no exception is needed ({reason})"));
        }
    }
    refuse(
        "a file is too long before its tests: split the idea",
        &offences,
    );
}

fn is_test_module(path: &str) -> bool {
    let is_named_so = path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
    is_named_so || path.contains("/tests/")
}

/// A `mod tests;` whose tests are in a file of their own ends nothing.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let is_elsewhere = |at: usize| {
        let next = lines.get(at + 1);
        next.is_some_and(|line| line.trim().ends_with(';'))
    };
    let begins = |at: &usize| lines[*at].trim() == "#[cfg(test)]" && !is_elsewhere(*at);
    (0..lines.len()).find(begins).unwrap_or(lines.len())
}

#[test]
fn nothing_is_left_for_later() {
    let offences = lines_with(&UNFINISHED);
    refuse("a text says that something is unfinished", &offences);
}

#[test]
fn no_text_knows_one_machine() {
    let offences = lines_with(&MACHINE_PATHS);
    refuse("a text holds a path of one machine", &offences);
}

/// `path:line` of every line that holds one of the words. A word of letters stands alone.
fn lines_with(words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in walk().iter().filter(|file| file.path != "Cargo.lock") {
        let text = file.text.as_deref().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| holds(line, word)) {
                found.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    found
}

fn holds(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let is_word = word.chars().all(is_letter);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_letter);
        let after = line[at + word.len()..]
            .chars()
            .next()
            .is_some_and(is_letter);
        !is_word || (!before && !after)
    })
}

#[test]
fn pages_are_reachable_and_links_lead_somewhere() {
    let files = walk();
    let texts: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.as_deref().unwrap_or_default()))
        .collect();
    let is_page = |path: &str| path.ends_with(".md");
    let (mut offences, mut reached) = (Vec::new(), BTreeSet::new());
    let mut pages: VecDeque<String> = ["README.md", "docs/README.md"].map(String::from).into();
    while let Some(page) = pages.pop_front() {
        if !reached.insert(page.clone()) {
            continue;
        }
        let Some(text) = texts.get(page.as_str()) else {
            continue;
        };
        for link in links(text) {
            let target = resolve(&page, &link);
            if !root().join(&target).exists() {
                offences.push(format!("{page}: the link to {link} leads nowhere"));
            }
            if is_page(&target) {
                pages.push_back(target);
            }
        }
    }
    let docs = texts.keys().filter(|path| path.starts_with("docs/"));
    for path in docs.filter(|path| is_page(path) && !reached.contains(**path)) {
        offences.push(format!("{path}: no link leads here"));
    }
    refuse("a page is lost or a link is broken", &offences);
}

#[test]
fn files_are_small() {
    let files = walk();
    let large = files
        .iter()
        .filter(|file| file.bytes > MAX_BYTES && file.path != "Cargo.lock");
    let offences: Vec<String> = large
        .map(|file| format!("{}: {} bytes, at most {MAX_BYTES}", file.path, file.bytes))
        .collect();
    refuse("a file is too large for the repository", &offences);
}

#[test]
fn the_lock_file_has_one_of_each() {
    let lock = read("Cargo.lock");
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
        };
        if let (Some(name), Some(version)) = (value("name"), value("version")) {
            let version = version.trim_matches('"');
            versions
                .entry(name.trim_matches('"'))
                .or_default()
                .push(version);
        }
    }
    let more = SINGLE_VERSIONS.iter().filter_map(|name| {
        let found = versions.get(name)?;
        (found.len() > 1).then(|| format!("{name}: {}", found.join(", ")))
    });
    let offences: Vec<String> = more.collect();
    refuse("a crate is there in several versions", &offences);
}

#[test]
fn words_stand_alone_and_tests_do_not_count() {
    assert!(holds("a WORD, here", "WORD") && !holds("KEYWORDS", "WORD"));
    assert!(holds("in /a/b", "/a/"));
    assert_eq!(lines_before_tests("a\nb\n#[cfg(test)]\nc\n"), 2);
    let elsewhere = "a\n#[cfg(test)]\nmod tests;\nb\n";
    assert_eq!(lines_before_tests(elsewhere), 4);
}
