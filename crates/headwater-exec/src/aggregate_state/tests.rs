//! Tests of the aggregation state.
//!
//! - `oracle_*`: random queries over random epochs, with rollbacks, abandoned epochs and restarts,
//!   against a recomputation from all rows so far, epoch by epoch ([`oracle`]).
//! - `differential_*`: panes against one row per window, which must agree in every epoch.
//! - the rest: versions, failures and bounds, one each.
//!
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` change how many cases run, and which.

mod case;
mod contract;
mod oracle;
mod run;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use case::{Case, cases};
use run::run;

/// Cases of a property in an ordinary run, and what proptest would take.
const CASES: u32 = 100;
const PROPTEST_CASES: u32 = 256;

/// Checks a property of random cases; a failure shows the seed and the smallest case found.
fn check(
    count: u32,
    cases: impl Strategy<Value = Case>,
    property: impl Fn(Case) -> Result<(), String>,
) {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if config.cases == PROPTEST_CASES {
        config.cases = count;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(42);
    }
    let seed = config.rng_seed;
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&cases, |case| property(case).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("seed {seed}: {error}");
    }
}

#[test]
fn oracle_every_epoch_emits_what_all_rows_so_far_come_to() {
    check(CASES, cases(), |case| {
        let found = run(&case, case.unpaned)?;
        let expected = oracle::run(&case);
        for (epoch, (found, expected)) in found.epochs.iter().zip(&expected.epochs).enumerate() {
            if found != expected {
                return Err(format!(
                    "epoch {epoch} emitted\n{found:#?}\nand should have emitted\n{expected:#?}"
                ));
            }
        }
        let folded = oracle::fold(&case, &found.epochs)?;
        if folded != expected.result {
            return Err(format!(
                "all epochs come to\n{folded:#?}\nand should come to\n{:#?}",
                expected.result
            ));
        }
        // The state of panes is as large as the panes that are open.
        if !case.unpaned && found.live_rows != expected.live_rows {
            let (found, expected) = (found.live_rows, expected.live_rows);
            return Err(format!("{found:?} live rows and not {expected:?}"));
        }
        Ok(())
    });
}

#[test]
fn differential_panes_and_a_row_per_window_agree() {
    let hopping = cases().prop_filter("a window", |case| case.window.is_some());
    check(CASES / 2, hopping, |case| {
        let (panes, windows) = (run(&case, false)?, run(&case, true)?);
        if panes.epochs != windows.epochs {
            return Err(format!(
                "panes emit\n{:#?}\nwindows emit\n{:#?}",
                panes.epochs, windows.epochs
            ));
        }
        Ok(())
    });
}
