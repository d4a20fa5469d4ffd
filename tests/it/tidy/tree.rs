//! The files of the tree, without what is built and what tools own.

use std::fs;
use std::path::PathBuf;

/// Folders with a leading dot that are part of the project.
const HIDDEN_FOLDERS: [&str; 4] = [".cargo", ".ci", ".config", ".github"];

/// A file of the tree.
pub(super) struct TreeFile {
    /// Path from the root, with `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// Its content, if it is UTF-8.
    pub(super) text: Option<String>,
}

pub(super) fn root() -> PathBuf {
    let root = headwater_tests::workspace_root();
    root.canonicalize().expect("the root is a folder")
}

/// Every file of the tree, by path.
pub(super) fn walk() -> Vec<TreeFile> {
    let root = root();
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed") {
            let entry = entry.expect("a folder entry can be read");
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().expect("a file type is known").is_dir() {
                let is_foreign = name.starts_with('.') && !HIDDEN_FOLDERS.contains(&name.as_str());
                if name != "target" && !is_foreign {
                    folders.push(path);
                }
                continue;
            }
            if name.ends_with(".swp") {
                continue;
            }
            let relative = path.strip_prefix(&root).expect("it is below the root");
            files.push(TreeFile {
                path: relative.to_string_lossy().replace('\\', "/"),
                bytes: entry.metadata().expect("a file has a length").len(),
                text: fs::read_to_string(&path).ok(),
            });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("cannot read {path}: {e}"))
}
