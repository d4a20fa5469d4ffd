//! Made-up samples of a process: what grows or lags is found, and what only moves is not.

use super::{Folder, QuerySample, Sample, Shortfall, Verdict};
use crate::job::Length;

/// Three minutes of samples, those of the warm-up too.
fn samples(seen: impl Fn(usize) -> Sample) -> Vec<Sample> {
    (0..180).map(seen).collect()
}

/// A process that stays as it is, as processes do: the heap breathes, files come and go.
fn flat(at: usize) -> Sample {
    Sample {
        at_s: at as f64,
        memory_mb: 20.0 + noise(at),
        resident_mb: 128.0 + noise(at),
        threads: 33 + at as u64 % 3,
        open_files: 60 + 3 * (at as u64 % 2),
        staged_files: at as u64 % 4,
        queries: vec![query(
            0.4 + (at % 5) as f64 / 4.0,
            12 + 8 * (at as u64 % 16),
        )],
    }
}

/// Between 0 and 0.5, without an order.
fn noise(at: usize) -> f64 {
    (at * 7_919 % 101) as f64 / 202.0
}

fn query(seconds_behind: f64, files: u64) -> QuerySample {
    let (bytes, state_bytes) = (files * 12_000, files * 10_000);
    QuerySample {
        name: "q",
        seconds_behind,
        checkpoint: Folder {
            files,
            bytes,
            largest_state: 110_000,
            state_bytes: state_bytes.min(400_000),
        },
    }
}

fn with_memory(at: usize, more: f64) -> Sample {
    let seen = flat(at);
    Sample {
        memory_mb: seen.memory_mb + more,
        resident_mb: seen.resident_mb + more,
        ..seen
    }
}

/// How many of these moments have passed.
fn passed(at: usize, moments: &[usize]) -> f64 {
    moments.iter().filter(|moment| at >= **moment).count() as f64
}

fn is_bad(length: Length, samples: &[Sample]) -> Vec<String> {
    let Verdict(findings) = Verdict::of(length, samples);
    let bad = findings.into_iter().filter(|finding| !finding.is_good());
    bad.map(|finding| finding.what).collect()
}

const ASKED: &str = "memory asked for, MB a minute";
const RESIDENT: &str = "resident memory, MB a minute";
const LAST_THIRD: &str = "resident memory, MB in the last third";

#[test]
fn what_only_moves_is_let_through() {
    type Seen = fn(usize) -> Sample;
    let cases: [(&str, Seen); 8] = [
        ("flat", flat),
        ("the warm-up", |at| with_memory(at, at.min(100) as f64)),
        ("a spike now and then", |at| {
            with_memory(at, if at % 19 == 0 { 60.0 } else { 0.0 })
        }),
        ("a saw", |at| with_memory(at, (at % 7) as f64)),
        ("a small step", |at| {
            with_memory(at, 5.0 * passed(at, &[150]))
        }),
        ("less and less", |at| with_memory(at, -(at as f64) / 10.0)),
        ("a spike of threads and files", |at| Sample {
            threads: if at == 170 { 60 } else { 33 },
            open_files: if at == 170 { 90 } else { 60 },
            ..flat(at)
        }),
        // What three seconds of a machine that stands still leave behind.
        ("a moment without a processor", |at| Sample {
            queries: vec![query(
                match at {
                    150..=152 => (at - 148) as f64 + 1.0,
                    _ => 0.8,
                },
                60,
            )],
            ..flat(at)
        }),
    ];
    for (what, seen) in cases {
        assert_eq!(
            is_bad(Length::SHORT, &samples(seen)),
            Vec::<String>::new(),
            "{what}"
        );
    }
}

#[test]
fn memory_that_grows_is_found() {
    type More = fn(usize) -> f64;
    let cases: [(&str, More, &[&str]); 7] = [
        ("a leak", |at| at as f64 * 3.0 / 60.0, &[ASKED, RESIDENT]),
        (
            "a leak in a saw",
            |at| at as f64 * 3.0 / 60.0 + (at % 7) as f64 / 2.0,
            &[ASKED, RESIDENT],
        ),
        (
            "a large step",
            |at| 15.0 * passed(at, &[150]),
            &[LAST_THIRD],
        ),
        (
            "a large step near the end",
            |at| 40.0 * passed(at, &[170]),
            &[LAST_THIRD],
        ),
        (
            "two steps",
            |at| 15.0 * passed(at, &[135, 160]),
            &[ASKED, RESIDENT, LAST_THIRD],
        ),
        (
            "two small steps",
            |at| 2.5 * passed(at, &[138, 162]),
            &[ASKED, RESIDENT],
        ),
        (
            "stairs",
            |at| 2.0 * passed(at, &[126, 136, 146, 156, 166, 176]),
            &[ASKED, RESIDENT, LAST_THIRD],
        ),
    ];
    for (what, more, expected) in cases {
        let samples = samples(|at| with_memory(at, more(at)));
        assert_eq!(is_bad(Length::SHORT, &samples), expected, "{what}");
    }
    // Files that are mapped are no memory that was asked for.
    let mapped = samples(|at| Sample {
        resident_mb: 128.0 + at as f64 / 10.0,
        ..flat(at)
    });
    assert_eq!(is_bad(Length::SHORT, &mapped), [RESIDENT]);
}

#[test]
fn half_an_hour_lets_less_through() {
    let minutes = |more: f64| -> Vec<Sample> {
        let seen = (0..1_800).map(|at| with_memory(at, at as f64 * more / 60.0));
        seen.collect()
    };
    assert_eq!(is_bad(Length::LONG, &minutes(0.1)), Vec::<String>::new());
    assert_eq!(
        is_bad(Length::LONG, &minutes(0.7)),
        [ASKED, RESIDENT, LAST_THIRD]
    );
    // A little, again and again.
    let steps: Vec<usize> = (1..18).map(|step| step * 100).collect();
    let stairs: Vec<Sample> = (0..1_800)
        .map(|at| with_memory(at, 0.6 * passed(at, &steps)))
        .collect();
    assert_eq!(is_bad(Length::LONG, &stairs), [LAST_THIRD]);
}

#[test]
fn whatever_else_grows_is_found() {
    type Seen = fn(usize) -> Sample;
    let cases: [(&str, Seen); 7] = [
        ("threads", |at| Sample {
            threads: 33 + at as u64 / 12,
            ..flat(at)
        }),
        ("threads", |at| Sample {
            threads: 33 + 6 * (at as u64 / 165),
            ..flat(at)
        }),
        ("open files", |at| Sample {
            open_files: 60 + at as u64 / 12,
            ..flat(at)
        }),
        ("staged files", |at| Sample {
            staged_files: at as u64 / 12,
            ..flat(at)
        }),
        ("q, files of its checkpoint", |at| {
            let mut seen = flat(at);
            seen.queries[0].checkpoint.files += 2 * at.saturating_sub(120) as u64;
            seen
        }),
        ("q, kB of its checkpoint", |at| {
            let mut seen = flat(at);
            seen.queries[0].checkpoint.bytes += 40_000 * at.saturating_sub(120) as u64;
            seen
        }),
        ("q, copies of its state", |at| {
            let mut seen = flat(at);
            seen.queries[0].checkpoint.state_bytes = 4_000_000;
            seen
        }),
    ];
    for (what, seen) in cases {
        assert_eq!(is_bad(Length::SHORT, &samples(seen)), [what]);
    }
}

#[test]
fn a_query_that_lags_is_found() {
    type Behind = fn(usize) -> f64;
    let cases: [(&str, Behind, &[&str]); 4] = [
        ("always", |_| 4.0, &["q, seconds behind"]),
        // As a snapshot of every sixteenth commit would do.
        (
            "often",
            |at| if at % 16 < 2 { 3.5 } else { 0.5 },
            &["q, seconds behind"],
        ),
        (
            "once, for long",
            |at| match at {
                130..140 => (at - 129) as f64,
                _ => 0.5,
            },
            &["q, seconds behind", "q, seconds behind for a moment"],
        ),
        (
            "more and more",
            |at| at.saturating_sub(120) as f64 / 25.0,
            &["q, seconds behind, more a minute"],
        ),
    ];
    for (what, behind, expected) in cases {
        let samples = samples(|at| Sample {
            queries: vec![query(behind(at), 60)],
            ..flat(at)
        });
        assert_eq!(is_bad(Length::SHORT, &samples), expected, "{what}");
    }
}

#[test]
fn what_is_too_much_fails() {
    let leak = samples(|at| with_memory(at, at as f64));
    let leaks = Verdict::of(Length::SHORT, &leak).check();
    assert!(matches!(leaks, Err(Shortfall::Grows(_))), "{leaks:?}");
    let lag = samples(|at| Sample {
        queries: vec![query(9.0, 60)],
        ..with_memory(at, at as f64)
    });
    let lags = Verdict::of(Length::SHORT, &lag).check();
    assert!(matches!(lags, Err(Shortfall::Lags(_))), "{lags:?}");
}

#[test]
#[should_panic(expected = "samples only")]
fn a_few_samples_say_nothing() {
    Verdict::of(Length::SHORT, &samples(flat)[..140]);
}
