//! Which cargo commands a test run consists of: from what was typed to a list of steps.
//!
//! Every command says `--workspace`, also where it runs the tests of one package: with other
//! packages cargo may choose other features and build DataFusion a second time.

/// The package and the test binaries of the end-to-end tests.
const IT: &str = "binary_id(headwater-tests::it)";
/// The tests that kill processes, at every crash point and at any time.
const CRASH: &str = "binary_id(headwater-tests::it) and test(/^crash::/)";
/// Those with a step of their own are left out: `slt` has its own `main`, which nextest cannot ask
/// for a list of tests, and `load` wants the machine for itself.
const NOT_BY_ITSELF: &str =
    "not (binary_id(headwater-tests::slt) or binary_id(headwater-tests::load))";

/// What runs Rust tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    Nextest,
    Cargo,
}

/// How patient the run is; the names are those of `.config/nextest.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Default,
    Ci,
    Long,
}

/// What tests of a step talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// A real broker.
    Cluster,
    /// A real broker, and other clients of it.
    ClusterAndPeers,
}

/// One cargo command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestStep {
    pub(super) name: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) needs: Needs,
}

/// The steps for the names that were typed.
pub(super) fn plan(names: &[String], runner: Runner, profile: Profile) -> Vec<TestStep> {
    match names.split_first() {
        None => plan_all(runner, profile),
        Some((suite, rest)) if suite == "slt" => vec![slt_step(rest)],
        Some((suite, rest)) if suite == "load" => vec![load_step(rest)],
        Some((suite, rest)) if suite == "crash" => vec![match runner {
            Runner::Nextest => nextest_step(CRASH, rest, profile),
            Runner::Cargo if rest.is_empty() => cargo_step(&["--test", "it"], &words(&["crash::"])),
            Runner::Cargo => cargo_step(&["--test", "it"], rest),
        }],
        Some((suite, rest)) if suite == "it" => vec![match runner {
            Runner::Nextest => nextest_step(IT, rest, profile),
            Runner::Cargo => cargo_step(&["--test", "it"], rest),
        }],
        Some(_) => vec![match runner {
            Runner::Nextest => nextest_step(NOT_BY_ITSELF, names, profile),
            Runner::Cargo => cargo_step(&["--lib", "--bins", "--test", "it"], names),
        }],
    }
}

fn plan_all(runner: Runner, profile: Profile) -> Vec<TestStep> {
    let tests = match runner {
        Runner::Nextest => nextest_step(NOT_BY_ITSELF, &[], profile),
        Runner::Cargo => cargo_step(&["--lib", "--bins", "--test", "it"], &[]),
    };
    let doc_tests = TestStep {
        name: "doc tests",
        arguments: words(&["test", "--workspace", "--doc"]),
        needs: Needs::Nothing,
    };
    vec![tests, doc_tests, slt_step(&[]), load_step(&[])]
}

fn nextest_step(filter: &str, names: &[String], profile: Profile) -> TestStep {
    let mut arguments = words(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    match profile {
        Profile::Default => {}
        Profile::Ci => arguments.extend(words(&["--profile", "ci"])),
        Profile::Long => arguments.extend(words(&["--profile", "long"])),
    }
    arguments.extend(words(&["-E", filter]));
    if !names.is_empty() {
        arguments.push("--".to_string());
        arguments.extend_from_slice(names);
    }
    TestStep {
        name: "tests",
        arguments,
        needs: Needs::ClusterAndPeers,
    }
}

/// Cargo takes one name only, its test binaries take many.
fn cargo_step(targets: &[&str], names: &[String]) -> TestStep {
    let mut arguments = words(&["test", "--workspace", "--no-fail-fast"]);
    arguments.extend(words(targets));
    arguments.push("--".to_string());
    arguments.extend_from_slice(names);
    TestStep {
        name: "tests",
        arguments,
        needs: Needs::ClusterAndPeers,
    }
}

fn slt_step(names: &[String]) -> TestStep {
    let mut arguments = words(&["test", "--workspace", "--test", "slt", "--"]);
    arguments.extend_from_slice(names);
    TestStep {
        name: "slt suite",
        arguments,
        needs: Needs::Nothing,
    }
}

/// Cargo runs it with either runner: it takes longer than nextest lets a test.
fn load_step(names: &[String]) -> TestStep {
    let mut arguments = words(&["test", "--workspace", "--test", "load", "--", "--nocapture"]);
    arguments.extend_from_slice(names);
    TestStep {
        name: "load",
        arguments,
        needs: Needs::Cluster,
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &[&str], runner: Runner, profile: Profile, expected: &[&str]) {
        let steps = plan(&words(typed), runner, profile);
        let lines: Vec<String> = steps.iter().map(|s| s.arguments.join(" ")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn without_names_every_suite_runs_once() {
        check(
            &[],
            Runner::Nextest,
            Profile::Ci,
            &[
                "nextest run --workspace --no-fail-fast --profile ci \
                 -E not (binary_id(headwater-tests::slt) or binary_id(headwater-tests::load))",
                "test --workspace --doc",
                "test --workspace --test slt --",
                "test --workspace --test load -- --nocapture",
            ],
        );
        check(
            &[],
            Runner::Cargo,
            Profile::Ci,
            &[
                "test --workspace --no-fail-fast --lib --bins --test it --",
                "test --workspace --doc",
                "test --workspace --test slt --",
                "test --workspace --test load -- --nocapture",
            ],
        );
    }

    #[test]
    fn names_choose_tests_and_suites() {
        check(
            &["slt", "tumble"],
            Runner::Nextest,
            Profile::Default,
            &["test --workspace --test slt -- tumble"],
        );
        check(
            &["load"],
            Runner::Nextest,
            Profile::Long,
            &["test --workspace --test load -- --nocapture"],
        );
        check(
            &["it", "kafka", "crash"],
            Runner::Nextest,
            Profile::Long,
            &["nextest run --workspace --no-fail-fast --profile long \
               -E binary_id(headwater-tests::it) -- kafka crash"],
        );
        check(
            &["crash"],
            Runner::Nextest,
            Profile::Default,
            &["nextest run --workspace --no-fail-fast \
               -E binary_id(headwater-tests::it) and test(/^crash::/)"],
        );
        check(
            &["crash"],
            Runner::Cargo,
            Profile::Default,
            &["test --workspace --no-fail-fast --test it -- crash::"],
        );
        check(
            &["watermark"],
            Runner::Cargo,
            Profile::Default,
            &["test --workspace --no-fail-fast --lib --bins --test it -- watermark"],
        );
    }
}
