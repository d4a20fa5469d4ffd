//! Failures of files and folders that another try cannot mend: the user has to change a path or
//! its rights, so they are errors of the configuration and not of the outside system.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

use headwater_core::Error;

const NO_FOLDER: &str =
    "Correct the option \"path\": it names a folder that is there or can be made.";
const NO_RIGHT_TO_READ: &str =
    "Give this user the right to read it, or correct the option \"path\".";
const NO_RIGHT_TO_WRITE: &str =
    "Give this user the right to write the folder, or choose another folder.";

/// A hidden file that shows whether a folder can be written to, and is gone at once.
const PROBE: &str = ".writable.tmp";

/// The error of a failed call that was to read a file or a folder; `message` says which.
pub(super) fn not_readable(message: String, error: io::Error) -> Error {
    let refused = match error.kind() {
        kind if is_permanent(kind) => Error::configuration(message).with_hint(NO_RIGHT_TO_READ),
        // A line that is too long stays so.
        io::ErrorKind::InvalidData => Error::bad_data(message),
        _ => Error::source_failed(message),
    };
    refused.with_source(error)
}

/// Why a folder can never be a sink, asked of the operating system; `None` if it can, or if what is
/// in the way may pass.
pub(super) fn not_writable(folder: &Path, owner: &str) -> Option<Error> {
    let (what, failure) = if folder.is_dir() {
        ("write to", probe(folder).err()?)
    } else {
        let made = DirBuilder::new().recursive(true).create(folder);
        ("make", made.err()?)
    };
    let hint = match failure.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => NO_RIGHT_TO_WRITE,
        kind if kind == io::ErrorKind::NotFound || is_permanent(kind) => NO_FOLDER,
        _ => return None,
    };
    let message = format!(
        "could not {what} folder \"{}\" of {owner}",
        folder.display()
    );
    let refused = Error::configuration(message).with_hint(hint);
    Some(refused.with_source(failure))
}

fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        // Another query that starts at the same time made it, or a user did: it is not ours.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    };
    match fs::remove_file(&path) {
        // Another query that starts at the same time was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a failure is about a path and its rights. That nothing is there may be for now only.
fn is_permanent(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use headwater_core::ErrorKind;

    use super::*;

    #[test]
    fn rights_and_paths_are_for_the_user_to_mend() {
        let cases = [
            (io::ErrorKind::PermissionDenied, ErrorKind::Configuration),
            (io::ErrorKind::NotADirectory, ErrorKind::Configuration),
            (io::ErrorKind::InvalidData, ErrorKind::BadData),
            (io::ErrorKind::NotFound, ErrorKind::Source),
            (io::ErrorKind::TimedOut, ErrorKind::Source),
            (io::ErrorKind::Other, ErrorKind::Source),
        ];
        for (failure, kind) in cases {
            let error = not_readable("could not read \"a\"".to_string(), failure.into());
            assert_eq!(error.kind(), kind, "{failure:?}");
            assert_eq!(error.hint().is_some(), kind == ErrorKind::Configuration);
        }
    }

    #[test]
    fn what_is_no_folder_and_cannot_be_one_is_no_sink() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        for path in [&file, &file.join("below")] {
            let error = not_writable(path, "sink \"f\"").unwrap();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let expected = format!("could not make folder \"{}\" of sink \"f\"", path.display());
            assert_eq!(error.message(), expected);
        }
        assert!(not_writable(folder.path(), "sink \"f\"").is_none());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
