//! As much of a `Cargo.toml` as the rules need: who it is, and whom it depends on.

use std::collections::BTreeSet;

/// What a manifest depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) name: String,
    /// Of `[dependencies]` and `[build-dependencies]`, those of targets too.
    pub(super) dependencies: BTreeSet<String>,
    /// Of `[dev-dependencies]`.
    pub(super) dev_dependencies: BTreeSet<String>,
}

/// Reads as much of a manifest as the rules need: names in the sections of dependencies.
pub(super) fn parse_manifest(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_string();
            // `[dependencies.x]` names the dependency in the header.
            if let Some((kind, name)) = section.rsplit_once("dependencies.") {
                let kind = format!("{kind}dependencies");
                add_dependency(&mut manifest, &kind, name);
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let key = key.trim().trim_matches('"');
        if section == "package" && key == "name" {
            manifest.name = value.trim().trim_matches('"').to_string();
        }
        if section.ends_with("dependencies") {
            let name = key.split('.').next().unwrap_or(key);
            add_dependency(&mut manifest, &section, name);
        }
    }
    manifest
}

fn add_dependency(manifest: &mut Manifest, section: &str, name: &str) {
    let into = if section.ends_with("dev-dependencies") {
        &mut manifest.dev_dependencies
    } else {
        &mut manifest.dependencies
    };
    into.insert(name.to_string());
}

#[test]
fn manifests_are_read_in_every_spelling() {
    let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\n# x = 1\n\
                \"c\" = { path = \"c\" }\n[dependencies.d]\nversion = \"1\"\n\
                [target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dev-dependencies]\nf = \"1\"\n\
                [lints]\nworkspace = true\n";
    let set = |names: &[&str]| {
        names
            .iter()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
    };
    let manifest = parse_manifest(text);
    assert_eq!(manifest.name, "a");
    assert_eq!(manifest.dependencies, set(&["b", "c", "d", "e"]));
    assert_eq!(manifest.dev_dependencies, set(&["f"]));
}
