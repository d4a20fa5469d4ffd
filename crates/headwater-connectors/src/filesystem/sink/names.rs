//! Names in a folder of results: who wrote a file, and whether it counts.
//!
//! ```text
//! part-00000042-000.jsonl                              epoch 42, task 0, its first file
//! part-00000042-000_001.jsonl                          its second
//! part-00000042-from-00000040.jsonl                    epochs 40 to 42, which share a commit
//! .headwater/staged/part-00000042-000_001.jsonl        the same before its epoch is committed
//! _headwater_log/00000042.json                         the manifest of epoch 42
//! ```
//!
//! Spark and Hive leave out names that begin with `.` or `_`; DataFusion leaves out folders below
//! that are not those of a partition, and `DuckDB` what a pattern such as `*.parquet` does not name.

use headwater_core::id::EpochId;

/// The folder of the manifests, below that of the results.
pub(super) const MANIFESTS: &str = "_headwater_log";
/// The file that says that a query has ended and all of its rows are there.
pub(super) const SUCCESS: &str = "_SUCCESS";

/// Where files are before their epoch is committed: all in one folder, so that those that are left
/// over are found without a walk through the folders of partitions.
pub(super) const STAGED: &str = ".headwater/staged";

/// The name of the `number`-th file of a task in an epoch, from 0.
pub(super) fn file_name(epoch: EpochId, task: usize, number: usize, extension: &str) -> String {
    let epoch = epoch.0;
    match number {
        0 => format!("part-{epoch:08}-{task:03}.{extension}"),
        _ => format!("part-{epoch:08}-{task:03}_{number:03}.{extension}"),
    }
}

/// The name of the `number`-th file that holds rows of several epochs, from 0: of those from `first`
/// to `last`, which it counts for.
pub(super) fn gathered_name(
    (first, last): (EpochId, EpochId),
    number: usize,
    extension: &str,
) -> String {
    let (first, last) = (first.0, last.0);
    match number {
        0 => format!("part-{last:08}-from-{first:08}.{extension}"),
        _ => format!("part-{last:08}-from-{first:08}_{number:03}.{extension}"),
    }
}

/// The path of a name in a folder; `""` is the folder of the results itself.
pub(super) fn path_in(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_string(),
        folder => format!("{folder}/{name}"),
    }
}

/// Whether a folder holds the rows of a value, as Hive names it.
pub(super) fn is_partition_folder(name: &str) -> bool {
    name.contains('=') && !name.starts_with(['.', '_'])
}

/// Where a file is before it is at `path`.
pub(super) fn staged_path(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("{STAGED}/{name}")
}

/// The epoch of a file's name.
pub(super) fn file_epoch(name: &str) -> Option<EpochId> {
    let (epoch, _) = name.strip_prefix("part-")?.split_once('-')?;
    epoch_of_digits(epoch)
}

/// The path of the manifest of an epoch.
pub(super) fn manifest_path(epoch: EpochId) -> String {
    format!("{MANIFESTS}/{:08}.json", epoch.0)
}

/// The epoch of a manifest's name.
pub(super) fn manifest_epoch(name: &str) -> Option<EpochId> {
    epoch_of_digits(name.strip_suffix(".json")?)
}

fn epoch_of_digits(text: &str) -> Option<EpochId> {
    let is_number = text.len() >= 8 && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(EpochId(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_epoch() {
        let cases = [
            ("part-00000042-000.jsonl", Some(42)),
            ("part-00000042-000_017.jsonl", Some(42)),
            ("part-00000042-from-00000040_001.jsonl", Some(42)),
            ("part-123456789-000.csv", Some(123_456_789)),
            ("part-000.jsonl", None),
            ("part-0000000x-000.csv", None),
            (".part-00000042-000.jsonl", None),
        ];
        for (name, epoch) in cases {
            assert_eq!(file_epoch(name), epoch.map(EpochId), "{name}");
        }
        assert_eq!(manifest_epoch("00000042.json"), Some(EpochId(42)));
        assert_eq!(manifest_epoch("notes.json"), None);
    }

    #[test]
    fn folders_of_values_have_the_name_of_their_column() {
        for (name, expected) in [
            ("k=1", true),
            ("day=2026-01-01", true),
            ("archive", false),
            ("_headwater_log", false),
            (".x=1", false),
        ] {
            assert_eq!(is_partition_folder(name), expected, "{name}");
        }
        assert_eq!(path_in("", "a"), "a");
        assert_eq!(path_in("k=1/l=2", "a"), "k=1/l=2/a");
    }

    #[test]
    fn files_of_a_task_are_in_order_by_name() {
        let names: Vec<String> = [0, 1, 12, 1234]
            .map(|number| file_name(EpochId(7), 3, number, "csv"))
            .to_vec();
        assert_eq!(names[0], "part-00000007-003.csv");
        assert_eq!(names[1], "part-00000007-003_001.csv");
        assert!(names.is_sorted(), "{names:?}");
        let staged = staged_path("day=2026-01-01/part-00000007-003_001.csv");
        assert_eq!(staged, ".headwater/staged/part-00000007-003_001.csv");
    }
}
