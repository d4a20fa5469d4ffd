//! The epoch protocol from one seed: every process of a query dies or is disturbed, on a disk that
//! loses what was not synced, and in the end every row is there once.
//!
//! `HEADWATER_TEST_LONG=1` runs many more seeds. One seed, with a trace of what happened:
//!
//! ```sh
//! HEADWATER_SIMULATION_SEED=123 cargo test -p headwater-tests --test it simulation -- --nocapture
//! ```

use headwater_testkit::checkpoint::Lies;
use headwater_testkit::simulation::{Scenario, Simulator, Summary};

/// Seeds of one test, of four.
const SEEDS: u64 = 500;
const SEEDS_LONG: u64 = 50_000;

fn run<T>(work: impl AsyncFnOnce(&Simulator) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let simulator = Box::pin(Simulator::try_new()).await.unwrap();
        Box::pin(work(&simulator)).await
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "which seed is run again, and how many are, is a matter of the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The seed that is to be run again, alone.
fn chosen_seed() -> Option<u64> {
    let text = variable("HEADWATER_SIMULATION_SEED")?;
    Some(text.parse().expect("HEADWATER_SIMULATION_SEED is a number"))
}

fn seeds_of(part: u64) -> std::ops::Range<u64> {
    let count = match variable("HEADWATER_TEST_LONG") {
        Some(_) => SEEDS_LONG,
        None => SEEDS,
    };
    match chosen_seed() {
        Some(seed) if seed / count == part || (part == 3 && seed / count > 3) => seed..seed + 1,
        Some(_) => 0..0,
        None => part * count..(part + 1) * count,
    }
}

fn check_part(part: u64) {
    let total = run(async |simulator| {
        let mut total = Summary::default();
        for seed in seeds_of(part) {
            let summary = checked(simulator, Scenario::Anything, seed).await;
            total.lives += summary.lives;
            total.epochs += summary.epochs;
            total.losses += summary.losses;
            total.failures += summary.failures;
        }
        total
    });
    println!("{total:?}");
    if chosen_seed().is_none() {
        // A simulation in which nothing happens shows nothing.
        assert!(total.losses > SEEDS, "{total:?}");
        assert!(total.epochs > 3 * SEEDS, "{total:?}");
        assert!(total.failures > SEEDS / 4, "{total:?}");
    }
}

/// Runs a seed. One that fails is run again with a trace.
async fn checked(simulator: &Simulator, scenario: Scenario, seed: u64) -> Summary {
    let traced = chosen_seed().is_some();
    let ended = simulator.run(scenario, seed, Lies::default(), traced).await;
    let Err(broken) = ended else {
        return ended.unwrap();
    };
    let again = match traced {
        true => Err(broken.clone()),
        false => simulator.run(scenario, seed, Lies::default(), true).await,
    };
    let trace = again.map_or_else(|broken| broken.trace.join("\n"), |_| String::new());
    panic!(
        "{trace}\nseed {seed}: {}\nreplay: HEADWATER_SIMULATION_SEED={seed} \
         cargo test -p headwater-tests --test it simulation -- --nocapture",
        broken.what
    );
}

#[test]
fn simulation_a_quarter() {
    check_part(0);
}

#[test]
fn simulation_another_quarter() {
    check_part(1);
}

#[test]
fn simulation_a_third_quarter() {
    check_part(2);
}

#[test]
fn simulation_the_last_quarter() {
    check_part(3);
}

#[test]
fn simulation_of_commits_while_later_epochs_run() {
    let total = run(async |simulator| {
        let mut total = Summary::default();
        for seed in chosen_seed().map_or(0..SEEDS, |seed| seed..seed + 1) {
            let summary = checked(simulator, Scenario::Overlapping, seed).await;
            total.epochs += summary.epochs;
            total.failures += summary.failures;
            total.overlaps += summary.overlaps;
        }
        total
    });
    println!("{total:?}");
    if chosen_seed().is_none() {
        assert!(total.epochs > 3 * SEEDS, "{total:?}");
        assert!(total.overlaps > SEEDS, "{total:?}");
        assert!(total.failures > SEEDS / 4, "{total:?}");
    }
}

#[test]
fn simulation_of_a_hundred_deaths_in_a_row() {
    run(async |simulator| {
        for seed in chosen_seed().map_or(0..4, |seed| seed..seed + 1) {
            checked(simulator, Scenario::HundredDeaths, seed).await;
        }
    });
}

/// A disk that does not keep its promises is found out, so the simulation can fail.
#[test]
fn simulation_finds_a_missing_sync() {
    run(async |simulator| {
        for (about_files, about_folders) in [(true, false), (false, true)] {
            let lies = Lies {
                about_files,
                about_folders,
            };
            let mut found = 0;
            for seed in 0..40 {
                let ended = simulator.run(Scenario::Anything, seed, lies, false).await;
                found += u32::from(ended.is_err());
            }
            assert!(found >= 5, "{lies:?}: found by {found} of 40 seeds");
        }
    });
}
