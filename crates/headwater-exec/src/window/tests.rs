//! Panes and windows against the definition, by trying every window.

use chrono::DateTime;

use super::*;

const DAY_US: i64 = 86_400_000_000;

/// Every window of `spec` that could cover an instant between the boundaries, by its definition.
fn all_windows(spec: &WindowSpec, indexes: std::ops::Range<i64>) -> Vec<Window> {
    let mut windows: Vec<Window> = match spec.shape {
        Shape::Hop { slide, size } => indexes
            .filter(|first| first.rem_euclid(slide) == 0)
            .map(|first| spec.window(first, first + size))
            .collect(),
        Shape::Cumulate { max } => indexes
            .filter(|first| first.rem_euclid(max) == 0)
            .flat_map(|first| (1..=max).map(move |n| (first, first + n)))
            .map(|(first, end)| spec.window(first, end))
            .collect(),
    };
    windows.sort_unstable();
    windows
}

fn check(spec: WindowSpec, times: &[i64]) {
    let around = times.iter().map(|t| spec.grid.index_of(*t));
    let (low, high) = (around.clone().min().unwrap(), around.max().unwrap());
    let windows = all_windows(&spec, low - 60..high + 60);
    let panes = spec.panes_of(times);
    for (t, pane) in times.iter().zip(panes) {
        assert_eq!(pane, spec.pane_of(*t), "{spec} at {t}");
        let covers = |w: &&Window| w.start_us <= *t && *t < w.end_us;
        let expected: Vec<Window> = windows.iter().filter(covers).copied().collect();
        let mut found: Vec<Window> = spec.windows_of_pane(pane).collect();
        found.reverse();
        assert_eq!(found, expected, "{spec} at {t}");
        for window in &found {
            assert!(spec.panes_of_window(*window).any(|p| p == pane), "{spec}");
            assert!(
                spec.panes_of_window(*window)
                    .all(|p| spec.is_part(p, *window))
            );
            check_unpaned(spec, *window);
        }
        let ends = expected
            .iter()
            .flat_map(|w| [w.end_us - 1, w.end_us, w.end_us + 1]);
        let mut moments: Vec<i64> = ends.chain([i64::MIN, *t, i64::MAX]).collect();
        moments.sort_unstable();
        for after in &moments {
            for until in moments.iter().filter(|until| *until >= after) {
                let mut ending: Vec<Window> =
                    spec.windows_of_pane_ending(pane, *after, *until).collect();
                ending.reverse();
                let ends = |w: &&Window| *after < w.end_us && w.end_us <= *until;
                let wanted: Vec<Window> = expected.iter().filter(ends).copied().collect();
                assert_eq!(ending, wanted, "{spec}, {pane} from {after} to {until}");
            }
            let is_open = expected.iter().any(|w| w.end_us > *after);
            assert_eq!(
                pane >= spec.first_open_pane(*after),
                is_open,
                "{spec}, {pane} at {after}"
            );
        }
    }
}

fn check_unpaned(spec: WindowSpec, window: Window) {
    let spec = spec.unpaned();
    let pane = match spec.told_by() {
        Bound::Start => window.start_us,
        Bound::End => window.end_us,
    };
    assert_eq!(
        spec.windows_of_pane(pane).collect::<Vec<_>>(),
        [window],
        "{spec}"
    );
    assert_eq!(
        spec.panes_of_window(window).collect::<Vec<_>>(),
        [pane],
        "{spec}"
    );
    assert!(spec.is_part(pane, window));
    let end = window.end_us;
    let ending = |after, until| spec.windows_of_pane_ending(pane, after, until).count();
    assert_eq!(
        [
            ending(end - 1, end),
            ending(end, i64::MAX),
            ending(i64::MIN, end - 1)
        ],
        [1, 0, 0]
    );
    for (watermark, is_open) in [
        (i64::MIN, true),
        (end - 1, true),
        (end, false),
        (i64::MAX, false),
    ] {
        assert_eq!(
            pane >= spec.first_open_pane(watermark),
            is_open,
            "{spec} at {watermark}"
        );
    }
}

fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

#[test]
fn hopping_windows_agree_with_the_definition() {
    let times: Vec<i64> = (-50..50).collect();
    for (slide, size, offset) in [
        (4, 10, 0),
        (10, 10, 0),
        (5, 10, 3),
        (3, 7, -2),
        (1, 1, 0),
        (7, 7, -100),
    ] {
        check(
            WindowSpec::hop(us(slide), us(size), offset).unwrap(),
            &times,
        );
    }
}

#[test]
fn cumulating_windows_agree_with_the_definition() {
    let times: Vec<i64> = (-50..50).collect();
    for (step, max, offset) in [(2, 6, 0), (5, 5, 0), (3, 12, 1), (1, 7, -2)] {
        check(
            WindowSpec::cumulate(us(step), us(max), offset).unwrap(),
            &times,
        );
    }
    let spec = WindowSpec::cumulate(us(10), us(30), 0).unwrap();
    let windows = spec.windows_of_pane(spec.pane_of(15));
    let ends: Vec<_> = windows.map(|w| (w.start_us, w.end_us)).collect();
    assert_eq!(ends, [(0, 30), (0, 20)]);
}

fn instant(text: &str) -> i64 {
    text.parse::<DateTime<chrono::Utc>>()
        .unwrap()
        .timestamp_micros()
}

/// Every three hours of a fortnight around an instant, and a microsecond before.
fn around(text: &str) -> Vec<i64> {
    let middle = instant(text);
    let steps = (-56..56).map(|n| middle + n * 3 * 3_600_000_000);
    steps.flat_map(|t| [t - 1, t]).collect()
}

fn days(n: i64) -> Length {
    Length::fixed(n * DAY_US)
}

fn hop(slide: Length, size: Length) -> WindowLengths {
    WindowLengths::Hop { slide, size }
}

#[test]
fn calendar_windows_agree_with_the_definition() {
    let cases = [
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ("America/St_Johns", "2006-10-29T02:31:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Kathmandu", "1969-12-31T18:30:00Z"),
    ];
    for (name, moment) in cases {
        let zone = Zone::named(name).unwrap();
        let times = around(moment);
        let tumble = |size| WindowLengths::Tumble { size };
        let build = |lengths, offset| WindowSpec::try_new(lengths, offset, Some(zone)).unwrap();
        check(build(tumble(days(1)), Length::default()), &times);
        check(build(tumble(days(7)), days(4)), &times);
        check(
            build(tumble(days(1)), Length::fixed(-6 * 3_600_000_000)),
            &times,
        );
        check(build(tumble(Length::months(1)), Length::default()), &times);
        check(
            build(hop(Length::months(1), Length::months(3)), days(2)),
            &times,
        );
        if name == "Pacific/Apia" {
            continue;
        }
        check(build(hop(days(1), days(3)), Length::default()), &times);
        check(build(hop(days(2), days(3)), days(1)), &times);
        let (step, max) = (days(1), days(7));
        check(
            build(WindowLengths::Cumulate { step, max }, days(4)),
            &times,
        );
    }
}

/// Windows of a kind in a zone that hold an instant, as texts.
fn shown(lengths: WindowLengths, offset: Length, zone: Option<&str>, at: &str) -> Vec<String> {
    let zone = zone.map(|name| Zone::named(name).unwrap());
    let spec = WindowSpec::try_new(lengths, offset, zone).unwrap();
    let windows = spec.windows_of_pane(spec.pane_of(instant(at)));
    let text = |us: i64| zone::naive(us).format("%Y-%m-%dT%H:%M").to_string();
    windows
        .map(|w| format!("{} {}", text(w.start_us), text(w.end_us)))
        .collect()
}

#[test]
fn days_and_months_are_those_of_the_calendar() {
    let day = WindowLengths::Tumble { size: days(1) };
    let none = Length::default();
    let berlin = Some("Europe/Berlin");
    let cases = [
        (
            day,
            none,
            berlin,
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00 2026-03-29T22:00",
        ),
        (
            day,
            none,
            berlin,
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00 2026-10-25T23:00",
        ),
        (
            day,
            none,
            None,
            "2026-10-25T12:00:00Z",
            "2026-10-25T00:00 2026-10-26T00:00",
        ),
        // The day after the one that Samoa left out.
        (
            day,
            none,
            Some("Pacific/Apia"),
            "2011-12-30T10:00:00Z",
            "2011-12-30T10:00 2011-12-31T10:00",
        ),
        (
            WindowLengths::Tumble {
                size: Length::months(1),
            },
            none,
            None,
            "2024-02-29T12:00:00Z",
            "2024-02-01T00:00 2024-03-01T00:00",
        ),
        (
            WindowLengths::Tumble {
                size: Length::months(12),
            },
            Length::months(3),
            berlin,
            "1969-02-01T00:00:00Z",
            "1968-03-31T23:00 1969-03-31T23:00",
        ),
        (
            WindowLengths::Tumble {
                size: Length::months(1),
            },
            days(14),
            None,
            "2026-03-14T23:59:00Z",
            "2026-02-15T00:00 2026-03-15T00:00",
        ),
    ];
    for (lengths, offset, zone, at, window) in cases {
        assert_eq!(
            shown(lengths, offset, zone, at),
            [window],
            "{lengths:?} at {at}"
        );
    }
}

#[test]
fn windows_say_what_they_are() {
    let berlin = Zone::named("Europe/Berlin").ok();
    let (one, three) = (Length::months(1), Length::months(3));
    let cases = [
        (
            hop(days(1), days(1)),
            Length::default(),
            None,
            "tumble(1 day)",
        ),
        (hop(days(1), days(3)), days(4), None, "hop(1 day, 3 days)"),
        (
            hop(days(2), days(3)),
            days(1),
            berlin,
            "hop(2 days, 3 days) offset 1 day in Europe/Berlin",
        ),
        (
            hop(one, three),
            Length::default(),
            berlin,
            "hop(1 month, 3 months) in Europe/Berlin",
        ),
        (
            WindowLengths::Cumulate {
                step: one,
                max: Length::months(12),
            },
            Length {
                months: 15,
                micros: -1_000_000,
            },
            None,
            "cumulate(1 month, 1 year) offset 3 months -1 second",
        ),
    ];
    for (lengths, offset, zone, text) in cases {
        let spec = WindowSpec::try_new(lengths, offset, zone).unwrap();
        assert_eq!(spec.to_string(), text);
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<WindowSpec>(&json).unwrap(), spec);
    }
}

fn hours(n: i64) -> Length {
    Length::fixed(n * 3_600_000_000)
}

fn check_refused(cases: &[(WindowLengths, Length, Option<&str>, &str)]) {
    for (lengths, offset, zone, why) in cases {
        let zone = zone.map(|name| Zone::named(name).unwrap());
        let error = WindowSpec::try_new(*lengths, *offset, zone).unwrap_err();
        assert!(error.message().contains(why), "{error}");
    }
}

#[test]
fn refuses_lengths_that_do_not_fit() {
    let none = Length::default();
    let cumulate = |step, max| WindowLengths::Cumulate { step, max };
    let mixed = Length {
        months: 1,
        micros: DAY_US,
    };
    check_refused(&[
        (
            hop(hours(10), hours(5)),
            none,
            None,
            "the slide of 10 hours is greater",
        ),
        (
            hop(none, hours(5)),
            none,
            None,
            "size and slide must be greater than zero",
        ),
        (
            cumulate(hours(4), hours(10)),
            none,
            None,
            "10 hours is no multiple of the step of 4",
        ),
        (
            cumulate(hours(10), hours(4)),
            none,
            None,
            "is no multiple of the step",
        ),
        (
            cumulate(hours(1), none),
            none,
            None,
            "step and greatest size must be greater",
        ),
        (
            hop(days(1), Length::months(1)),
            none,
            None,
            "1 month long and 1 day apart",
        ),
        (
            hop(mixed, mixed),
            none,
            None,
            "cannot be 1 month 1 day long",
        ),
        (
            hop(days(1), days(1)),
            Length::months(1),
            None,
            "fits only windows of months",
        ),
    ]);
    let error = WindowSpec::hop(us(10), us(5), 0).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("HOP_END() take the slide first"), "{hint}");
    assert!(WindowSpec::tumble(Duration::ZERO, 0).is_err());
}

#[test]
fn a_row_is_in_no_more_windows_than_a_day_has_seconds() {
    for (unit, size) in [(1, 86_400), (10, 864_009), (3, 259_200)] {
        WindowSpec::hop(us(unit), us(size), 0).unwrap();
        let error = WindowSpec::hop(us(unit), us(size + unit), 0).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("rows would be in up to 86401 windows"),
            "{text}"
        );
    }
    WindowSpec::cumulate(us(2), us(172_800), 0).unwrap();
    assert!(WindowSpec::cumulate(us(2), us(172_802), 0).is_err());
}

#[test]
fn refuses_what_a_zone_makes_ambiguous() {
    let none = Length::default();
    check_refused(&[
        (
            hop(hours(12), days(1)),
            none,
            Some("Europe/Berlin"),
            "must be of whole days",
        ),
        (
            hop(days(1), days(2)),
            none,
            Some("Pacific/Apia"),
            "cannot be told apart",
        ),
    ]);
}
