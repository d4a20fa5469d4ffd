//! Where reading begins and where a bounded read ends: the options `start` and `end`, in
//! headwater's spelling and in those of Spark and Flink.
//!
//! | text | meaning |
//! | --- | --- |
//! | `earliest`, `earliest-offset` | the first offset there is |
//! | `latest`, `latest-offset` | after the last record |
//! | `timestamp:2026-11-01T00:00:00Z`, `timestamp:1793491200000` | the first record of that time or later |
//! | `offsets:{"orders":{"0":23}}`, `{"orders":{"0":23,"1":-2}}` | these offsets; -2 is earliest, -1 is latest |

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

use crate::cluster::{Cluster, Held, Place, named};

/// A position in all partitions of a source, as a user writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    Earliest,
    Latest,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// Offsets of some partitions; the others are as [`Position::Earliest`] or
    /// [`Position::Latest`], whichever the option defaults to.
    Offsets(Offsets),
}

/// Spark's numbers for the two ends of a partition in a JSON of offsets.
const OFFSET_LATEST: i64 = -1;
const OFFSET_EARLIEST: i64 = -2;

const EXPECTED: &str =
    "'earliest', 'latest', 'timestamp:2026-11-01T00:00:00Z' or 'offsets:{\"topic\":{\"0\":23}}'";

const START: OptionDoc = OptionDoc::new(
    "start",
    OptionValues::Described("`earliest`, `latest`, `timestamp:…`, `offsets:{…}`"),
    OptionDefault::Value("earliest"),
    "where a query begins that has no checkpoint yet",
)
.with_spark(&["startingOffsets"])
.with_flink(&["scan.startup.mode"])
.with_also(&["source.offset"]);
const START_TIMESTAMP: OptionDoc = OptionDoc::new(
    "start.timestamp",
    OptionValues::Described("a time, or milliseconds since 1970"),
    OptionDefault::Nothing,
    "the same as `timestamp:…` of `start`; given alone, or beside `timestamp`",
)
.with_spark(&["startingTimestamp"])
.with_flink(&["scan.startup.timestamp-millis"]);
const END: OptionDoc = OptionDoc::new(
    "end",
    OptionValues::Described("`latest`, `timestamp:…`, `offsets:{…}`"),
    OptionDefault::Described("a bounded read ends at what is there, a stream never"),
    "where reading ends; `latest` is what is there when it starts, of a stream when it starts for \
     the first time",
)
.with_spark(&["endingOffsets"])
.with_flink(&["scan.bounded.mode"]);

/// What [`take_start`] and [`take_end`] read.
pub(crate) const DOCS: [&OptionDoc; 3] = [&START, &START_TIMESTAMP, &END];

/// Reads the option `start`.
pub(crate) fn take_start(options: &mut OptionReader) -> Result<Position> {
    let text = options.take(START.name, &START.aliases())?;
    let time = options.take(START_TIMESTAMP.name, &START_TIMESTAMP.aliases())?;
    match (text, time) {
        (None, None) => Ok(Position::Earliest),
        (Some(text), Some(time)) if text.trim() == "timestamp" => {
            parse_time(options, START_TIMESTAMP.name, &time)
        }
        (Some(_), Some(_)) => Err(Error::configuration(format!(
            "{} gives both \"start\" and \"start.timestamp\"",
            options.owner()
        ))
        .with_hint("Keep one of the two.")),
        (None, Some(time)) => parse_time(options, START_TIMESTAMP.name, &time),
        (Some(text), None) => parse(options, START.name, &text),
    }
}

/// Reads the option `end`; `None` is the end as it is when the read starts.
pub(crate) fn take_end(options: &mut OptionReader) -> Result<Option<Position>> {
    let Some(text) = options.take(END.name, &END.aliases())? else {
        return Ok(None);
    };
    match parse(options, END.name, &text)? {
        Position::Earliest => Err(Error::configuration(format!(
            "option \"end\" of {} is \"{text}\", so nothing could be read",
            options.owner()
        ))),
        position => Ok(Some(position)),
    }
}

fn parse(options: &OptionReader, name: &str, text: &str) -> Result<Position> {
    let trimmed = text.trim();
    if let Some(time) = strip_prefix(trimmed, "timestamp:") {
        return parse_time(options, name, time);
    }
    let offsets = strip_prefix(trimmed, "offsets:").unwrap_or(trimmed);
    if offsets.trim_start().starts_with('{') {
        let bad = |why: String| options.bad_value(name, text, EXPECTED).with_detail(why);
        let offsets: Offsets = serde_json::from_str(offsets.trim())
            .map_err(|error| bad(format!("The JSON cannot be read: {error}.")))?;
        if let Some((partition, offset)) = offsets.iter().find(|(_, o)| *o < OFFSET_EARLIEST) {
            return Err(bad(format!(
                "The offset {offset} of {} is negative.",
                named(partition)
            )));
        }
        return Ok(Position::Offsets(offsets));
    }
    match trimmed.to_ascii_lowercase().as_str() {
        "earliest" | "earliest-offset" => Ok(Position::Earliest),
        "latest" | "latest-offset" => Ok(Position::Latest),
        word @ ("group-offsets" | "specific-offsets") => Err(Error::unsupported(format!(
            "option \"{name}\" of {} cannot be \"{word}\"",
            options.owner()
        ))
        .with_detail("Offsets are kept in the query's checkpoint, not in a consumer group.")
        .with_hint(format!("Write one of {EXPECTED}."))),
        _ => Err(options.bad_value(name, text, EXPECTED)),
    }
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

fn parse_time(options: &OptionReader, name: &str, text: &str) -> Result<Position> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(Position::Time(ms));
    }
    match string_to_timestamp_nanos(text) {
        Ok(nanos) => Ok(Position::Time(nanos.div_euclid(1_000_000))),
        Err(_) => Err(options.bad_value(
            name,
            text,
            "a time such as '2026-11-01T00:00:00Z' or milliseconds since 1970",
        )),
    }
}

/// Turns a start into offsets. Partitions that the user left out begin at their first record.
pub(crate) fn resolve_start(
    position: &Position,
    partitions: &[Partition],
    cluster: &Cluster,
) -> Result<Offsets> {
    match position {
        Position::Earliest => cluster.offsets(partitions, Place::Start),
        Position::Latest => cluster.offsets(partitions, Place::End),
        Position::Time(ms) => cluster.offsets(partitions, Place::Time(*ms)),
        Position::Offsets(given) => {
            let held = cluster.held(partitions)?;
            pick(given, partitions, &held, &held.start)
        }
    }
}

/// Turns an end into offsets. Partitions that the user left out end after their last record.
pub(crate) fn resolve_end(
    position: Option<&Position>,
    partitions: &[Partition],
    cluster: &Cluster,
) -> Result<Offsets> {
    match position {
        None | Some(Position::Latest) => cluster.offsets(partitions, Place::End),
        Some(Position::Earliest) => cluster.offsets(partitions, Place::Start),
        Some(Position::Time(ms)) => cluster.offsets(partitions, Place::Time(*ms)),
        Some(Position::Offsets(given)) => {
            let held = cluster.held(partitions)?;
            pick(given, partitions, &held, &held.end)
        }
    }
}

fn pick(
    given: &Offsets,
    partitions: &[Partition],
    held: &Held,
    others: &Offsets,
) -> Result<Offsets> {
    if let Some((unknown, _)) = given.iter().find(|(p, _)| !partitions.contains(p)) {
        return Err(Error::configuration(format!(
            "an offset is given for {}, which is not read",
            named(unknown)
        ))
        .with_hint(format!("The source reads {} partitions.", partitions.len())));
    }
    let mut picked = Offsets::new();
    for partition in partitions {
        let start = held.start.get(partition).unwrap_or(0);
        let end = held.end.get(partition).unwrap_or(0);
        let offset = match given.get(partition) {
            None => others.get(partition).unwrap_or(0),
            Some(OFFSET_EARLIEST) => start,
            Some(OFFSET_LATEST) => end,
            Some(offset) if (start..=end).contains(&offset) => offset,
            Some(offset) => {
                return Err(Error::configuration(format!(
                    "offset {offset} of {} does not exist",
                    named(partition)
                ))
                .with_detail(format!("The partition holds offsets {start} to {end}.")));
            }
        };
        picked.set(partition.clone(), offset);
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(pairs: &[(&str, &str)]) -> Result<Position> {
        let mut options = OptionReader::new("source \"s\"", &pairs.iter().copied().collect());
        let start = take_start(&mut options)?;
        options.finish()?;
        Ok(start)
    }

    fn offsets(pairs: &[(i32, i64)]) -> Offsets {
        pairs
            .iter()
            .map(|(p, o)| (Partition::new("orders", *p), *o))
            .collect()
    }

    #[test]
    fn every_spelling_of_a_start_is_read() {
        let time = Position::Time(1_793_491_200_000);
        let cases = [
            (("start", "Earliest"), Position::Earliest),
            (("scan.startup.mode", "earliest-offset"), Position::Earliest),
            (("source.offset", "latest"), Position::Latest),
            (("scan.startup.mode", "latest-offset"), Position::Latest),
            (("start", "timestamp:2026-11-01T00:00:00Z"), time.clone()),
            (("start", "timestamp:2026-11-01 00:00:00"), time.clone()),
            (("startingTimestamp", "1793491200000"), time),
            (
                ("start", r#"offsets:{"orders":{"0":23}}"#),
                Position::Offsets(offsets(&[(0, 23)])),
            ),
            (
                ("startingOffsets", r#"{"orders":{"0":23,"1":-2}}"#),
                Position::Offsets(offsets(&[(0, 23), (1, -2)])),
            ),
        ];
        for (pair, expected) in cases {
            assert_eq!(start(&[pair]).unwrap(), expected, "{pair:?}");
        }
        assert_eq!(start(&[]).unwrap(), Position::Earliest);
        let flink = [
            ("scan.startup.mode", "timestamp"),
            ("scan.startup.timestamp-millis", "5"),
        ];
        assert_eq!(start(&flink).unwrap(), Position::Time(5));
    }

    #[test]
    fn what_cannot_be_a_start_is_refused() {
        for text in [
            "soon",
            "timestamp:yesterday",
            "offsets:{",
            r#"{"t":{"0":-3}}"#,
            "group-offsets",
        ] {
            assert!(start(&[("start", text)]).is_err(), "{text}");
        }
    }

    #[test]
    fn given_offsets_must_exist() {
        let partitions = [Partition::new("orders", 0), Partition::new("orders", 1)];
        let held = Held {
            start: offsets(&[(0, 5), (1, 0)]),
            end: offsets(&[(0, 9), (1, 4)]),
        };
        let pick = |given: &[(i32, i64)]| pick(&offsets(given), &partitions, &held, &held.start);
        assert_eq!(pick(&[(0, 7)]).unwrap(), offsets(&[(0, 7), (1, 0)]));
        assert_eq!(
            pick(&[(0, -2), (1, -1)]).unwrap(),
            offsets(&[(0, 5), (1, 4)])
        );
        assert!(pick(&[(0, 4)]).is_err());
        assert!(pick(&[(0, 10)]).is_err());
        assert!(pick(&[(2, 0)]).is_err());
    }
}
