//! What is wrong with a start and an end together, and with a time of them that nobody can mean.

use headwater_core::event_time::EventTime;
use headwater_core::{Error, Result};

use crate::cluster::named;
use crate::start::Position;

/// 2000-01-01T00:00:00Z, before which no message was written.
const FIRST_TIME_MS: i64 = 946_684_800_000;

/// Refuses an end that lies before the start. Words such as `latest` are places that only a broker
/// knows.
///
/// # Errors
/// If it does, in time or in one partition.
pub(crate) fn refuse_end_before_start(
    owner: &str,
    start: &Position,
    end: Option<&Position>,
) -> Result<()> {
    let (end, start) = match (start, end) {
        (Position::Time(start), Some(Position::Time(end))) if end < start => {
            (time(*end), time(*start))
        }
        (Position::Offsets(starts), Some(Position::Offsets(ends))) => {
            let mut both = ends.iter().filter_map(|(partition, end)| {
                let start = starts.get(partition)?;
                // Negative numbers are Spark's words.
                (end >= 0 && end < start).then_some((partition, end, start))
            });
            let Some((partition, end, start)) = both.next() else {
                return Ok(());
            };
            let end = format!("offset {end} of {}", named(partition));
            (end, format!("offset {start}"))
        }
        _ => return Ok(()),
    };
    Err(Error::configuration(format!(
        "option \"end\" of {owner} is {end}, which is before its \"start\", {start}"
    ))
    .with_hint("Nothing lies between them: should they be the other way round?"))
}

/// What to warn of a time that is no message's, as one in seconds is when it is read as milliseconds.
/// Nothing of the time 0, which is before all and may be meant so.
pub(crate) fn doubtful_time(option: &str, position: &Position) -> Option<String> {
    let Position::Time(ms) = position else {
        return None;
    };
    if *ms == 0 || *ms >= FIRST_TIME_MS {
        return None;
    }
    let warning = format!(
        "option \"{option}\" is the time {}, before any message: a number is of milliseconds since \
         1970",
        time(*ms)
    );
    let meant = ms.checked_mul(1000).filter(|ms| *ms >= FIRST_TIME_MS);
    Some(match meant {
        Some(meant) => format!(
            "{warning}; if {ms} are seconds, write 'timestamp:{meant}' or 'timestamp:{}'",
            time(meant)
        ),
        None => {
            format!("{warning}; a time may be written as 'timestamp:2026-11-01T00:00:00Z', too")
        }
    })
}

fn time(ms: i64) -> String {
    EventTime::from_millis(ms).to_string()
}

#[cfg(test)]
mod tests {
    use headwater_core::offset::{Offsets, Partition};

    use super::*;

    fn offsets(pairs: &[(i32, i64)]) -> Position {
        let each = pairs.iter();
        Position::Offsets(
            each.map(|(p, o)| (Partition::new("t", *p), *o))
                .collect::<Offsets>(),
        )
    }

    #[test]
    fn an_end_before_the_start_is_refused() {
        let refused = |start, end| {
            let refused = refuse_end_before_start("source \"s\"", &start, Some(&end));
            refused.err().map(|error| error.message().to_string())
        };
        let (earlier, later) = (
            Position::Time(1_793_491_200_000),
            Position::Time(1_793_491_200_005),
        );
        assert_eq!(refused(earlier.clone(), later.clone()), None);
        assert_eq!(refused(earlier.clone(), earlier.clone()), None);
        assert_eq!(
            refused(later, earlier).unwrap(),
            "option \"end\" of source \"s\" is 2026-11-01T00:00:00Z, which is before its \"start\", \
             2026-11-01T00:00:00.005Z"
        );
        assert_eq!(
            refused(
                offsets(&[(0, 1), (2, 9)]),
                offsets(&[(0, 1), (1, 0), (2, 8)])
            )
            .unwrap(),
            "option \"end\" of source \"s\" is offset 8 of partition 2 of topic \"t\", which is \
             before its \"start\", offset 9"
        );
        // The end, and partitions of which one of both is said.
        assert_eq!(
            refused(offsets(&[(0, 5), (1, 5)]), offsets(&[(0, -1)])),
            None
        );
        assert_eq!(refused(offsets(&[(0, -2)]), offsets(&[(0, 0)])), None);
        assert_eq!(refused(Position::Latest, Position::Time(0)), None);
    }

    #[test]
    fn seconds_that_are_read_as_milliseconds_are_doubted() {
        let doubt = |ms| doubtful_time("start", &Position::Time(ms));
        assert_eq!(
            doubt(1_795_320_005).unwrap(),
            "option \"start\" is the time 1970-01-21T18:42:00.005Z, before any message: a number is \
             of milliseconds since 1970; if 1795320005 are seconds, write \
             'timestamp:1795320005000' or 'timestamp:2026-11-22T04:00:05Z'"
        );
        assert!(doubt(20_000).unwrap().ends_with("T00:00:00Z', too"));
        for ms in [0, FIRST_TIME_MS, 1_795_320_005_000] {
            assert_eq!(doubt(ms), None, "{ms}");
        }
        assert_eq!(doubtful_time("end", &Position::Latest), None);
    }
}
