//! One list of expectations, run on every file store.

use headwater_core::ErrorKind;
use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;

use crate::failing_files::FailingFiles;
use crate::file_store::FileStore;
use crate::local_files::LocalFiles;
use crate::lock::LockOwner;
use crate::memory_files::MemoryFiles;

fn check_on_every_store(check: fn(&dyn FileStore)) {
    check(&MemoryFiles::new());
    check(&FailingFiles::new(MemoryFiles::new()));
    let folder = tempfile::tempdir().unwrap();
    check(&LocalFiles::try_new(folder.path()).unwrap());
}

fn text(store: &dyn FileStore, path: &str) -> Option<String> {
    let bytes = store.read(path).unwrap();
    bytes.map(|b| String::from_utf8(b).unwrap())
}

#[test]
fn files_are_written_read_and_deleted() {
    check_on_every_store(|store| {
        assert_eq!(text(store, "a/b/x"), None);
        assert_eq!(store.size("a/b/x").unwrap(), None);
        store.write_atomic("a/b/x", b"one").unwrap();
        store.write_atomic("a/b/x", b"three").unwrap();
        assert_eq!(text(store, "a/b/x").as_deref(), Some("three"));
        assert_eq!(store.size("a/b/x").unwrap(), Some(5));
        store.delete("a/b/x").unwrap();
        store.delete("a/b/x").unwrap();
        store.delete("no/such/folder").unwrap();
        assert_eq!(text(store, "a/b/x"), None);
    });
}

#[test]
fn parts_of_a_file_are_read() {
    check_on_every_store(|store| {
        store.write_atomic("a/x", b"0123456789").unwrap();
        let part = |offset, length| store.read_part("a/x", offset, length).unwrap().unwrap();
        assert_eq!(part(0, 3), b"012");
        assert_eq!(part(4, 6), b"456789");
        assert_eq!(part(8, 6), b"89");
        assert_eq!(part(20, 1), b"");
        assert_eq!(store.read_part("a/y", 0, 1).unwrap(), None);
    });
}

#[test]
fn a_file_is_created_once() {
    check_on_every_store(|store| {
        store.create_new("a/x", b"one").unwrap();
        let error = store.create_new("a/x", b"two").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("a/x"), "{error}");
        assert_eq!(text(store, "a/x").as_deref(), Some("one"));
        store.delete("a/x").unwrap();
        store.create_new("a/x", b"two").unwrap();
        assert_eq!(text(store, "a/x").as_deref(), Some("two"));
    });
}

#[test]
fn a_streamed_file_appears_when_it_is_finished() {
    check_on_every_store(|store| {
        store.write_atomic("a/x", b"old").unwrap();
        let mut writer = store.create_file("a/x").unwrap();
        writer.write_all(b"ne").unwrap();
        assert_eq!(store.list("a").unwrap(), ["x"]);
        assert_eq!(text(store, "a/x").as_deref(), Some("old"));
        writer.write_all(b"w").unwrap();
        writer.finish().unwrap();
        assert_eq!(text(store, "a/x").as_deref(), Some("new"));
        let mut abandoned = store.create_file("a/y").unwrap();
        abandoned.write_all(b"lost").unwrap();
        drop(abandoned);
        assert_eq!(store.list("a").unwrap(), ["x"]);
        store.create_file("a/y").unwrap().finish().unwrap();
        assert_eq!(text(store, "a/y").as_deref(), Some(""));
    });
}

#[test]
fn a_rename_may_be_repeated() {
    check_on_every_store(|store| {
        store.write_atomic("a/.x", b"one").unwrap();
        store.rename("a/.x", "b/x").unwrap();
        store.rename("a/.x", "b/x").unwrap();
        assert_eq!(text(store, "b/x").as_deref(), Some("one"));
        assert_eq!(text(store, "a/.x"), None);
        store.write_atomic("a/.x", b"two").unwrap();
        store.rename("a/.x", "b/x").unwrap();
        assert_eq!(text(store, "b/x").as_deref(), Some("two"));
        let error = store.rename("a/.x", "b/y").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
    });
}

#[test]
fn a_folder_lists_its_own_files_in_order() {
    check_on_every_store(|store| {
        assert!(store.list("a").unwrap().is_empty());
        for path in ["a/2", "a/10", "a/b/3", "ab/4", "a/.hidden", "5"] {
            store.write_atomic(path, b"").unwrap();
        }
        assert_eq!(store.list("a").unwrap(), [".hidden", "10", "2"]);
        assert_eq!(store.list("a/b").unwrap(), ["3"]);
        assert_eq!(store.list("").unwrap(), ["5"]);
        assert_eq!(store.folders("a").unwrap(), ["b"]);
        assert!(store.folders("a/b").unwrap().is_empty());
        assert!(store.folders("no/such").unwrap().is_empty());
        assert!(store.folders("").unwrap().contains(&"a".to_string()));
    });
}

#[test]
fn paths_outside_are_refused() {
    check_on_every_store(|store| {
        for path in ["../x", "/x", "a/../../x", "", "a//b", "a/.b.tmp"] {
            assert!(store.read(path).is_err(), "{path}");
            assert!(store.write_atomic(path, b"").is_err(), "{path}");
            assert!(store.create_new(path, b"").is_err(), "{path}");
            assert!(store.create_file(path).is_err(), "{path}");
            assert!(store.rename(path, "a").is_err(), "{path}");
            assert!(store.rename("a", path).is_err(), "{path}");
            assert!(store.delete(path).is_err(), "{path}");
            assert!(store.size(path).is_err(), "{path}");
        }
        assert!(store.list("..").is_err());
    });
}

#[test]
fn one_owner_has_the_lock() {
    check_on_every_store(|store| {
        let owner = LockOwner::this_process(&ManualClock::new(EventTime(5)));
        let guard = store.lock(&owner).unwrap();
        let error = store.lock(&owner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let pid = std::process::id();
        assert!(error.message().contains(&format!("process {pid} on host")));
        let first = guard.token();
        drop(guard);
        let second = store.lock(&owner).unwrap().token();
        assert!(first >= 5, "{first}");
        assert!(second > first, "{second} after {first}");
        let later = LockOwner::this_process(&ManualClock::new(EventTime(5_000)));
        assert_eq!(store.lock(&later).unwrap().token(), 5_000);
    });
}

#[test]
fn a_damaged_lock_file_is_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFiles::try_new(folder.path()).unwrap();
    files.write_atomic("lock", b"headwater lo").unwrap();
    let owner = LockOwner::this_process(&ManualClock::new(EventTime(5)));
    let guard = files.lock(&owner).unwrap();
    assert_eq!(guard.token(), 5);
    let text = text(&files, "lock").unwrap();
    assert!(text.starts_with("headwater lock v1 "), "{text}");
}
