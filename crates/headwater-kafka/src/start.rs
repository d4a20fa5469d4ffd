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
use crate::failure::offsets_between;
use crate::times::offsets_of_time;
use crate::topics::TopicChoice;

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
const START_OFFSETS: OptionDoc = OptionDoc::new(
    "start.offsets",
    OptionValues::Described("`partition:0,offset:42;partition:1,offset:300`"),
    OptionDefault::Nothing,
    "the same as `offsets:{…}` of `start`, of the one topic that is named; given alone, or beside \
     `specific-offsets`",
)
.with_flink(&["scan.startup.specific-offsets"]);
const END: OptionDoc = OptionDoc::new(
    "end",
    OptionValues::Described("`latest`, `timestamp:…`, `offsets:{…}`"),
    OptionDefault::Described("a bounded read ends at what is there, a stream never"),
    "where reading ends; `latest` is what is there when it starts, of a stream when it starts for \
     the first time; Flink's `unbounded` is the default",
)
.with_spark(&["endingOffsets"])
.with_flink(&["scan.bounded.mode"]);
const END_TIMESTAMP: OptionDoc = OptionDoc::new(
    "end.timestamp",
    OptionValues::Described("a time, or milliseconds since 1970"),
    OptionDefault::Nothing,
    "the same as `timestamp:…` of `end`; given alone, or beside `timestamp`",
)
.with_spark(&["endingTimestamp"])
.with_flink(&["scan.bounded.timestamp-millis"]);
const END_OFFSETS: OptionDoc = OptionDoc::new(
    "end.offsets",
    OptionValues::Described("`partition:0,offset:42;partition:1,offset:300`"),
    OptionDefault::Nothing,
    "the same as `offsets:{…}` of `end`, of the one topic that is named; given alone, or beside \
     `specific-offsets`",
)
.with_flink(&["scan.bounded.specific-offsets"]);

/// What [`take_start`] and [`take_end`] read.
pub(crate) const DOCS: [&OptionDoc; 6] = [
    &START,
    &START_TIMESTAMP,
    &START_OFFSETS,
    &END,
    &END_TIMESTAMP,
    &END_OFFSETS,
];

/// The options of one position: all of it, or the word of a kind with a value in an option of its own.
struct PositionDocs {
    whole: &'static OptionDoc,
    time: &'static OptionDoc,
    offsets: &'static OptionDoc,
}

const OF_START: PositionDocs = PositionDocs {
    whole: &START,
    time: &START_TIMESTAMP,
    offsets: &START_OFFSETS,
};
const OF_END: PositionDocs = PositionDocs {
    whole: &END,
    time: &END_TIMESTAMP,
    offsets: &END_OFFSETS,
};

/// Reads the option `start`.
pub(crate) fn take_start(options: &mut OptionReader, topics: &TopicChoice) -> Result<Position> {
    let start = take(options, &OF_START, topics)?;
    Ok(start.unwrap_or(Position::Earliest))
}

/// Reads the option `end`; `None` is the end as it is when the read starts.
pub(crate) fn take_end(
    options: &mut OptionReader,
    topics: &TopicChoice,
) -> Result<Option<Position>> {
    match take(options, &OF_END, topics)? {
        Some(Position::Earliest) => Err(Error::configuration(format!(
            "option \"end\" of {} is the first record, so nothing could be read",
            options.owner()
        ))),
        position => Ok(position),
    }
}

fn take(
    options: &mut OptionReader,
    docs: &PositionDocs,
    topics: &TopicChoice,
) -> Result<Option<Position>> {
    let mut given = |doc: &OptionDoc| options.take(doc.name, &doc.aliases());
    let whole = given(docs.whole)?;
    let (time, offsets) = (given(docs.time)?, given(docs.offsets)?);
    let word = whole
        .as_deref()
        .map(|text| text.trim().to_ascii_lowercase());
    match (word.as_deref(), time, offsets) {
        (None, None, None) => Ok(None),
        (Some("unbounded"), None, None) if docs.whole.name == END.name => Ok(None),
        (None | Some("timestamp"), Some(time), None) => {
            parse_time(options, docs.time.name, &time).map(Some)
        }
        (None | Some("specific-offsets"), None, Some(offsets)) => {
            parse_specific(options, docs.offsets.name, &offsets, topics).map(Some)
        }
        (Some("timestamp"), None, None) => Err(lacks(options, docs.whole, docs.time)),
        (Some("specific-offsets"), None, None) => Err(lacks(options, docs.whole, docs.offsets)),
        (Some(_), None, None) => parse(
            options,
            docs.whole.name,
            whole.as_deref().unwrap_or_default(),
        )
        .map(Some),
        (word, time, offsets) => {
            let given = [
                word.map(|_| docs.whole.name),
                time.map(|_| docs.time.name),
                offsets.map(|_| docs.offsets.name),
            ];
            let names: Vec<String> = given.iter().flatten().map(|n| format!("\"{n}\"")).collect();
            Err(Error::configuration(format!(
                "{} gives {} together",
                options.owner(),
                names.join(" and ")
            ))
            .with_hint("Keep one of them."))
        }
    }
}

fn lacks(options: &OptionReader, whole: &OptionDoc, other: &OptionDoc) -> Error {
    Error::configuration(format!(
        "{} has the option \"{}\" without the option \"{}\"",
        options.owner(),
        whole.name,
        other.name
    ))
    .with_hint(format!(
        "Add it, or write '{}' as one of {EXPECTED}.",
        whole.name
    ))
}

/// Flink's spelling of offsets, which names no topic.
fn parse_specific(
    options: &OptionReader,
    name: &str,
    text: &str,
    topics: &TopicChoice,
) -> Result<Position> {
    let TopicChoice::Named(names) = topics else {
        return Err(names_no_topic(options, name));
    };
    let [topic] = names.as_slice() else {
        return Err(names_no_topic(options, name));
    };
    let bad = || {
        let expected = "'partition:0,offset:42;partition:1,offset:300'";
        options.bad_value(name, text, expected)
    };
    let mut found = Offsets::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (partition, offset) = part.split_once(',').ok_or_else(bad)?;
        let partition = number_after(partition, "partition:").ok_or_else(bad)?;
        let partition =
            Partition::new(topic.as_str(), i32::try_from(partition).map_err(|_| bad())?);
        let offset = number_after(offset, "offset:").ok_or_else(bad)?;
        if found.get(&partition).is_some() {
            return Err(bad().with_detail(format!("It names {} twice.", named(&partition))));
        }
        found.set(partition, offset);
    }
    match found.is_empty() {
        true => Err(bad()),
        false => Ok(Position::Offsets(found)),
    }
}

fn names_no_topic(options: &OptionReader, name: &str) -> Error {
    Error::configuration(format!(
        "option \"{name}\" of {} names no topic, and the source may read several",
        options.owner()
    ))
    .with_hint("Write 'offsets:{\"topic\":{\"0\":23}}' as 'start' or 'end'.")
}

/// A number that is not negative, behind a word.
fn number_after(text: &str, word: &str) -> Option<i64> {
    let number = strip_prefix(text.trim(), word)?.trim().parse().ok()?;
    (number >= 0).then_some(number)
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
        word @ "group-offsets" => Err(Error::unsupported(format!(
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
        Position::Time(ms) => offsets_of_time(cluster, partitions, *ms),
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
        Some(Position::Time(ms)) => offsets_of_time(cluster, partitions, *ms),
        Some(Position::Offsets(given)) => {
            let held = cluster.held(partitions)?;
            pick(given, partitions, &held, &held.end)
        }
    }
}

/// The topics that are read if a partition is of none of them, and else the partitions of its own.
fn what_is_read(unknown: &Partition, partitions: &[Partition]) -> String {
    let of_topic = partitions.iter().filter(|p| p.stream == unknown.stream);
    match of_topic.count() {
        0 => {
            let mut topics: Vec<&str> = partitions.iter().map(|p| &*p.stream).collect();
            topics.dedup();
            format!(
                "The source does not read topic \"{}\", but {}.",
                unknown.stream,
                topics.join(", ")
            )
        }
        1 => "The source reads 1 partition of the topic.".to_string(),
        count => format!("The source reads {count} partitions of the topic."),
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
        .with_hint(what_is_read(unknown, partitions)));
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
                .with_detail(format!(
                    "The partition holds {}.",
                    offsets_between(start, end)
                )));
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
        let topics = TopicChoice::Named(vec!["orders".into()]);
        let start = take_start(&mut options, &topics)?;
        options.finish()?;
        Ok(start)
    }

    fn end(pairs: &[(&str, &str)]) -> Result<Option<Position>> {
        let mut options = OptionReader::new("source \"s\"", &pairs.iter().copied().collect());
        let topics = TopicChoice::Named(vec!["orders".into()]);
        let end = take_end(&mut options, &topics)?;
        options.finish()?;
        Ok(end)
    }

    fn offsets(pairs: &[(i32, i64)]) -> Offsets {
        pairs
            .iter()
            .map(|(p, o)| (Partition::new("orders", *p), *o))
            .collect()
    }

    #[test]
    fn an_offset_of_what_is_not_read_is_told_what_is() {
        let read = [("a", 0), ("a", 1), ("b", 0)].map(|(t, p)| Partition::new(t, p));
        let hint = |topic, partition| {
            let given: Offsets = [(Partition::new(topic, partition), 1)]
                .into_iter()
                .collect();
            let held = Held {
                start: Offsets::new(),
                end: Offsets::new(),
            };
            let error = pick(&given, &read, &held, &held.end).unwrap_err();
            error.hint().unwrap().to_string()
        };
        assert_eq!(
            hint("c", 0),
            "The source does not read topic \"c\", but a, b."
        );
        assert_eq!(hint("a", 2), "The source reads 2 partitions of the topic.");
        assert_eq!(hint("b", 1), "The source reads 1 partition of the topic.");
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
        let specific = Position::Offsets(offsets(&[(0, 42), (1, 300)]));
        let flink = [
            ("scan.startup.mode", "specific-offsets"),
            (
                "scan.startup.specific-offsets",
                "partition:0,offset:42; partition:1,offset:300;",
            ),
        ];
        assert_eq!(start(&flink).unwrap(), specific);
        assert_eq!(start(&flink[1..]).unwrap(), specific);
    }

    #[test]
    fn every_spelling_of_an_end_is_read() {
        let time = Some(Position::Time(1_793_491_200_000));
        let specific = Some(Position::Offsets(offsets(&[(1, 7)])));
        for (pairs, expected) in [
            (vec![], None),
            (vec![("scan.bounded.mode", "unbounded")], None),
            (vec![("endingOffsets", "latest")], Some(Position::Latest)),
            (
                vec![("scan.bounded.mode", "latest-offset")],
                Some(Position::Latest),
            ),
            (
                vec![("end", "timestamp:2026-11-01T00:00:00Z")],
                time.clone(),
            ),
            (vec![("endingTimestamp", "1793491200000")], time.clone()),
            (
                vec![
                    ("scan.bounded.mode", "timestamp"),
                    ("scan.bounded.timestamp-millis", "1793491200000"),
                ],
                time,
            ),
            (
                vec![
                    ("scan.bounded.mode", "specific-offsets"),
                    ("scan.bounded.specific-offsets", "partition:1,offset:7"),
                ],
                specific.clone(),
            ),
            (vec![("end.offsets", "partition:1,offset:7")], specific),
        ] {
            assert_eq!(end(&pairs).unwrap(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn what_cannot_be_an_end_is_refused() {
        for (pairs, expected) in [
            (vec![("end", "earliest")], "nothing could be read"),
            (
                vec![("end", "group-offsets")],
                "cannot be \"group-offsets\"",
            ),
            (
                vec![("scan.bounded.mode", "timestamp")],
                "without the option \"end.timestamp\"",
            ),
            (
                vec![("end", "specific-offsets")],
                "without the option \"end.offsets\"",
            ),
            (
                vec![("end", "latest"), ("end.timestamp", "5")],
                "gives \"end\" and \"end.timestamp\" together",
            ),
            (
                vec![
                    ("end.timestamp", "5"),
                    ("end.offsets", "partition:1,offset:7"),
                ],
                "gives \"end.timestamp\" and \"end.offsets\" together",
            ),
            (vec![("end.offsets", "1:7")], "not 'partition:0,offset:42"),
            (
                vec![("end.offsets", "partition:1,offset:-7")],
                "not 'partition:0,offset:42",
            ),
            (
                vec![("end.offsets", "partition:1,offset:7;partition:1,offset:8")],
                "not 'partition:0,offset:42",
            ),
        ] {
            let error = end(&pairs).unwrap_err();
            assert!(error.message().contains(expected), "{pairs:?}: {error}");
        }
        let several = TopicChoice::Named(vec!["a".into(), "b".into()]);
        let given = [("end.offsets", "partition:1,offset:7")];
        let mut options = OptionReader::new("source \"s\"", &given.iter().copied().collect());
        let error = take_end(&mut options, &several).unwrap_err();
        assert!(error.message().contains("names no topic"), "{error}");
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
        let error = pick(&[(0, 10)]).unwrap_err();
        assert_eq!(error.detail(), Some("The partition holds offsets 5 to 8."));
        assert!(pick(&[(2, 0)]).is_err());
    }
}
