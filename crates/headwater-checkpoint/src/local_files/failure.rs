//! What a failed call on the disk means, and what to do about it.

use std::io;
use std::path::Path;

use headwater_core::Error;

/// What to do about a full disk.
const ROOM: &str = "Free some disk space, then start the query again: it goes on where it was. With \
                    `restart.attempts` it tries by itself.";
/// The disk could not do it (EIO).
const IO: i32 = 5;

/// Whether there is no room, which there may be later.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A failure to write something; `bytes` is what it was to hold, if it is a file with a content.
pub(super) fn write_error(action: &str, path: &Path, bytes: u64, error: &io::Error) -> Error {
    let size = match bytes {
        0 => String::new(),
        bytes => format!(" of {bytes} bytes"),
    };
    let message = format!("cannot {action} \"{}\"{size}: {error}", path.display());
    match error.kind() {
        _ if is_full(error) => Error::resource(message).that_may_pass().with_hint(ROOM),
        io::ErrorKind::PermissionDenied => Error::resource(message).with_hint(
            "Give this user the right to write there, then start the query again: it goes on \
             where it was.",
        ),
        io::ErrorKind::ReadOnlyFilesystem => Error::resource(message).with_hint(
            "The file system takes no writes, as it does after an error of its disk. Look at the \
             system log; when it can be written again, the query goes on where it was.",
        ),
        _ if cfg!(unix) && error.raw_os_error() == Some(IO) => Error::resource(message).with_hint(
            "The disk failed. Look at the system log; copy the folder to another disk if need be: \
             the query goes on after the last epoch that is whole.",
        ),
        _ => io_error(action, "file", path, error),
    }
}

/// Too many open files, in this process or on this machine.
const OUT_OF_HANDLES: [i32; 2] = [24, 23];

pub(super) fn io_error(action: &str, kind: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {action} {kind} \"{}\": {error}", path.display());
    let is_out_of_handles = error
        .raw_os_error()
        .is_some_and(|code| OUT_OF_HANDLES.contains(&code));
    if cfg!(unix) && is_out_of_handles {
        return Error::resource(message).with_hint("Raise the limit of open files (ulimit -n).");
    }
    match error.kind() {
        _ if is_full(error) => Error::resource(message).that_may_pass().with_hint(ROOM),
        io::ErrorKind::FileTooLarge | io::ErrorKind::OutOfMemory => Error::resource(message)
            .with_hint("Raise the limit, then start the query again: it goes on where it was."),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::checkpoint(message).with_hint(
                "Give this user the right to read and write the folder, or choose another folder.",
            )
        }
        io::ErrorKind::NotFound => Error::checkpoint(message)
            .with_hint("Was the folder moved or deleted while the query ran? Put it back."),
        _ => Error::checkpoint(message).with_hint("Check the disk and the folder."),
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;

    #[test]
    fn what_keeps_a_file_from_being_written_is_told_with_its_size() {
        for (code, may_pass) in [
            (28, true),
            (122, true),
            (30, false),
            (5, false),
            (13, false),
        ] {
            let failed = io::Error::from_raw_os_error(code);
            let error = write_error("write", Path::new("/x/y"), 4096, &failed);
            assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
            let begins = "cannot write \"/x/y\" of 4096 bytes: ";
            assert!(error.message().starts_with(begins), "{error}");
            assert_eq!(error.may_pass(), may_pass, "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn a_full_disk_is_a_matter_of_resources() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = io_error("write", "file", Path::new("/x/y"), &full);
        assert_eq!(error.kind(), ErrorKind::Resource);
        assert!(error.message().starts_with("cannot write file \"/x/y\": "));
        assert!(error.hint().is_some());
    }
}
