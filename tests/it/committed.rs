//! Files of the documentation that tests make: compared with what is committed, or written anew
//! by `cargo xtask figures`.

use std::fs;
use std::path::Path;

use headwater_tests::workspace_root;

/// Set to anything, it lets the tests write instead of compare.
const UPDATE_VARIABLE: &str = "HEADWATER_UPDATE_FIGURES";

/// The text of a page.
pub(crate) fn committed(path: &str) -> String {
    fs::read_to_string(workspace_root().join(path)).unwrap_or_default()
}

/// Fails if the committed file is another text, unless files are to be written.
pub(crate) fn check_committed(path: &str, text: &str) {
    if is_update() {
        write(&workspace_root().join(path), text);
    }
    let before = committed(path);
    let differs = before.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| before.lines().count().min(text.lines().count()));
    assert!(
        before == text,
        "{path} is not what its test makes, from line {} on:\n  committed {:?}\n  made      {:?}\n\
         If the new one is right, run `cargo xtask figures` and look at the difference.",
        line + 1,
        before.lines().nth(line),
        text.lines().nth(line)
    );
}

/// Compares, or writes, what stands between the two comments `<!-- name -->` and `<!-- /name -->`.
pub(crate) fn check_committed_part(path: &str, name: &str, part: &str) {
    let page = committed(path);
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    check_committed(path, &format!("{before}{begin}{part}{end}{after}"));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test alone, which no setting of the engine is"
)]
fn is_update() -> bool {
    std::env::var(UPDATE_VARIABLE).is_ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a page of the documentation, which is not part of a checkpoint"
)]
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
