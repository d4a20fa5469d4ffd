//! Which topics a source reads: those it names, those that match a pattern, or single partitions.
//!
//! | option | reads | found later |
//! | --- | --- | --- |
//! | `topic` | all partitions of these topics | partitions |
//! | `topic.pattern` | the topics whose whole name matches | partitions and topics |
//! | `assign` | these partitions alone | nothing |
//!
//! A pattern never matches topics whose names begin with `__`: those are the brokers' own.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_core::offset::{Offsets, Partition};
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;
use headwater_core::unique_map::UniqueMap;
use headwater_core::{Error, Result};
use regex::Regex;

const TOPIC: &str = "topic";
const PATTERN: &str = "topic.pattern";
const ASSIGN: &str = "assign";
const OF_TOPIC: OptionDoc = OptionDoc::new(
    TOPIC,
    OptionValues::Described("names of topics, between `,` or `;`"),
    OptionDefault::Described("required, or one of the next two"),
    "all partitions of these topics are read",
)
.with_spark(&["subscribe"])
.with_flink(&["topic"]);
const OF_PATTERN: OptionDoc = OptionDoc::new(
    PATTERN,
    OptionValues::Described("a regular expression: `orders-.*`"),
    OptionDefault::Nothing,
    "the topics whose whole name matches are read",
)
.with_spark(&["subscribePattern"])
.with_flink(&["topic-pattern"]);
const OF_ASSIGN: OptionDoc = OptionDoc::new(
    ASSIGN,
    OptionValues::Described("partitions by topic: `{\"orders\":[0,1]}`"),
    OptionDefault::Nothing,
    "these partitions alone are read",
)
.with_spark(&["assign"]);
/// Names of topics that belong to the brokers begin so.
pub(crate) const INTERNAL: &str = "__";

/// What a source reads of a cluster.
#[derive(Debug, Clone)]
pub(crate) enum TopicChoice {
    /// All partitions of these topics, in order.
    Named(Vec<String>),
    /// All partitions of the topics whose name matches.
    Matching(TopicPattern),
    /// These partitions, in order.
    Assigned(Vec<Partition>),
}

/// A regular expression for whole names.
#[derive(Debug, Clone)]
pub(crate) struct TopicPattern {
    text: String,
    regex: Regex,
}

impl TopicPattern {
    fn parse(text: &str) -> Result<Self, regex::Error> {
        Ok(TopicPattern {
            text: text.to_string(),
            regex: Regex::new(&format!("^(?:{text})$"))?,
        })
    }

    pub(crate) fn matches(&self, topic: &str) -> bool {
        !topic.starts_with(INTERNAL) && self.regex.is_match(topic)
    }

    /// As the user wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl TopicChoice {
    /// The options, of which one must be there.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&OF_TOPIC, &OF_PATTERN, &OF_ASSIGN];

    /// Reads the options, of which one must be there.
    ///
    /// # Errors
    /// If none or several are there, or one cannot be read.
    pub(crate) fn take(options: &mut OptionReader) -> Result<Self> {
        let named = options.take(TOPIC, &OF_TOPIC.aliases())?;
        let pattern = options.take(PATTERN, &OF_PATTERN.aliases())?;
        let assigned = options.take(ASSIGN, &[])?;
        match (named, pattern, assigned) {
            (Some(text), None, None) => named_topics(options, &text),
            (None, Some(text), None) => match TopicPattern::parse(text.trim()) {
                Ok(pattern) => Ok(TopicChoice::Matching(pattern)),
                Err(error) => Err(options
                    .bad_value(PATTERN, &text, "a regular expression such as 'orders-.*'")
                    .with_detail(error.to_string())),
            },
            (None, None, Some(text)) => assigned_partitions(options, &text),
            (None, None, None) => {
                // It is missing, and this says so as of every option that must be there.
                let topic = options.require(TOPIC, &[], "orders")?;
                named_topics(options, &topic)
            }
            (_, _, _) => Err(Error::configuration(format!(
                "{} says in two ways which topics it reads",
                options.owner()
            ))
            .with_hint(format!(
                "Keep one of \"{TOPIC}\", \"{PATTERN}\" and \"{ASSIGN}\"."
            ))),
        }
    }

    /// Whether it has partitions of a topic, or may come to have some.
    pub(crate) fn includes(&self, topic: &str) -> bool {
        match self {
            TopicChoice::Named(topics) => topics.iter().any(|named| named == topic),
            TopicChoice::Matching(pattern) => pattern.matches(topic),
            TopicChoice::Assigned(partitions) => partitions.iter().any(|p| &*p.stream == topic),
        }
    }

    /// The part of the choice that a query has read before; `None` if that is nothing.
    pub(crate) fn read_before(&self, read: &Offsets) -> Option<TopicChoice> {
        let was_read = |topic: &str| read.iter().any(|(p, _)| &*p.stream == topic);
        match self {
            TopicChoice::Named(topics) => {
                let topics = topics.iter().filter(|topic| was_read(topic));
                let topics: Vec<_> = topics.cloned().collect();
                (!topics.is_empty()).then_some(TopicChoice::Named(topics))
            }
            TopicChoice::Matching(_) => (!read.is_empty()).then(|| self.clone()),
            TopicChoice::Assigned(partitions) => {
                let partitions = partitions.iter().filter(|p| read.get(p).is_some());
                let partitions: Vec<_> = partitions.cloned().collect();
                (!partitions.is_empty()).then_some(TopicChoice::Assigned(partitions))
            }
        }
    }

    /// What a resumed query must find again.
    pub(crate) fn identity(&self) -> (&'static str, String) {
        match self {
            TopicChoice::Named(topics) => ("topic", topics.join(", ")),
            TopicChoice::Matching(pattern) => ("topic pattern", pattern.text.clone()),
            TopicChoice::Assigned(partitions) => {
                let each = partitions.iter().map(ToString::to_string);
                ("partitions", each.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn named_topics(options: &OptionReader, text: &str) -> Result<TopicChoice> {
    let topics = text.split([',', ';']).map(str::trim);
    let topics: BTreeSet<&str> = topics.filter(|topic| !topic.is_empty()).collect();
    if topics.is_empty() {
        return Err(options.bad_value(TOPIC, text, "the name of a topic"));
    }
    Ok(TopicChoice::Named(
        topics.into_iter().map(str::to_string).collect(),
    ))
}

fn assigned_partitions(options: &OptionReader, text: &str) -> Result<TopicChoice> {
    let expected = "partitions by topic such as '{\"orders\":[0,1]}'";
    let bad = || options.bad_value(ASSIGN, text, expected);
    let given: UniqueMap<String, BTreeSet<u16>> = serde_json::from_str(text.trim())
        .map_err(|error| bad().with_detail(format!("The JSON cannot be read: {error}.")))?;
    let mut partitions = Vec::new();
    for (topic, numbers) in &given.0 {
        let stream: Arc<str> = topic.as_str().into();
        let each = numbers.iter().map(|number| i32::from(*number));
        partitions.extend(each.map(|number| Partition::new(Arc::clone(&stream), number)));
    }
    if partitions.is_empty() {
        return Err(bad());
    }
    partitions.sort();
    Ok(TopicChoice::Assigned(partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pairs: &[(&str, &str)]) -> Result<TopicChoice> {
        let mut options = OptionReader::new("source \"s\"", &pairs.iter().copied().collect());
        let choice = TopicChoice::take(&mut options)?;
        options.finish()?;
        Ok(choice)
    }

    #[test]
    fn topics_are_chosen_in_one_of_three_ways() {
        let identity = |pairs: &[(&str, &str)]| take(pairs).unwrap().identity();
        assert_eq!(
            identity(&[("subscribe", "b, a,b")]),
            ("topic", "a, b".into())
        );
        let pattern = identity(&[("subscribePattern", "ord.*")]);
        assert_eq!(pattern, ("topic pattern", "ord.*".into()));
        let assigned = identity(&[("assign", r#"{"b":[2,0,2],"a":[1]}"#)]);
        assert_eq!(assigned, ("partitions", "a/1, b/0, b/2".into()));
    }

    #[test]
    fn a_pattern_is_of_the_whole_name() {
        let Ok(TopicChoice::Matching(pattern)) = take(&[("topic.pattern", "a|or.*s")]) else {
            panic!("no pattern")
        };
        for (topic, matches) in [
            ("orders", true),
            ("a", true),
            ("ab", false),
            ("my-orders", false),
            ("__orders", false),
        ] {
            assert_eq!(pattern.matches(topic), matches, "{topic}");
        }
    }

    #[test]
    fn what_chooses_nothing_is_refused() {
        for (pairs, expected) in [
            (vec![], "needs the option \"topic\""),
            (vec![("topic", " , ")], "not the name of a topic"),
            (vec![("topic.pattern", "(")], "not a regular expression"),
            (vec![("assign", "{\"a\":[-1]}")], "not partitions by topic"),
            (vec![("assign", "{}")], "not partitions by topic"),
            (
                vec![("assign", "{\"a\":[0],\"a\":[1]}")],
                "not partitions by topic",
            ),
            (
                vec![("topic", "a"), ("assign", "{\"a\":[0]}")],
                "in two ways",
            ),
        ] {
            let error = take(&pairs).unwrap_err();
            assert!(error.message().contains(expected), "{pairs:?}: {error}");
        }
    }
}
