//! Links of Markdown pages.

/// Targets of Markdown links within the tree, without anchors; code blocks are left out.
pub(super) fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        let parts = line.split("](").skip(1).filter(|_| !in_code);
        let targets = parts.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
        let within = targets.filter(|target| !target.contains("://"));
        let files = within.filter_map(|target| target.split('#').next());
        found.extend(files.filter(|file| !file.is_empty()).map(String::from));
    }
    found
}

/// A link as a path from the root.
pub(super) fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[test]
fn links_are_found_and_resolved() {
    let page = "[a](x.md) and [b](../y.md#z), [c](https://h/z.md)\n```\n[d](no.md)\n```\n[e](#f)";
    assert_eq!(links(page), ["x.md", "../y.md"]);
    assert_eq!(resolve("docs/ways/a.md", "../y.md"), "docs/y.md");
}
