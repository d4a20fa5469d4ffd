//! Whose a checkpoint folder is: its user's, who alone can read what is written to it.

use std::path::Path;

use headwater_core::{Error, Result};

/// Refuses a folder of another user: each of the two would make files that the other cannot read.
///
/// # Errors
/// Checkpoint, naming both users by their numbers.
#[cfg(unix)]
pub(super) fn check(folder: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let uid_of = |path: &Path| std::fs::metadata(path).map(|m| m.uid());
    // Linux says there who runs the process; elsewhere the modes of the files must do.
    let (Ok(owner), Ok(user)) = (uid_of(folder), uid_of(Path::new("/proc/self"))) else {
        return Ok(());
    };
    refuse(folder, owner, user)
}

#[cfg(not(unix))]
pub(super) fn check(_folder: &Path) -> Result<()> {
    Ok(())
}

#[cfg_attr(not(unix), expect(dead_code, reason = "users have numbers on unix"))]
fn refuse(folder: &Path, owner: u32, user: u32) -> Result<()> {
    if owner == user {
        return Ok(());
    }
    let folder = folder.display();
    Err(Error::checkpoint(format!(
        "checkpoint folder \"{folder}\" belongs to user {owner}, and this process runs as user {user}"
    ))
    .with_hint(format!(
        "Run it as the user who began the query, give the folder away (chown -R {user}), or choose \
         another."
    )))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        let error = refuse(folder.path(), 1000, 0).unwrap_err();
        assert!(error.message().contains("belongs to user 1000"), "{error}");
        assert!(error.hint().unwrap().contains("chown -R 0"), "{error}");
        // Only an administrator can make a folder of somebody else.
        if std::os::unix::fs::chown(folder.path(), Some(1), None).is_ok() {
            let error = crate::local_files::LocalFiles::try_new(folder.path()).unwrap_err();
            assert!(error.message().contains("belongs to user 1,"), "{error}");
        }
    }
}
