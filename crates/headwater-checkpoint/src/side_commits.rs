//! What an epoch handed to the sinks beside that of its result: late rows and dead letters.
//!
//! ```text
//! {"epoch":42,…,"sink_token":{…},
//!  "late_rows":{"sink":{"path":"/late"},"sink_token":{…}},
//!  "dead_letters":{"orders_bad":{"sink":{"path":"/bad"},"sink_token":{…}}},…}
//! ```
//!
//! The record of an epoch's commit holds it, so that after a crash either all sinks show the epoch
//! or none does.

use std::collections::BTreeMap;
use std::fmt;

use headwater_core::sink::CommitToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a sink beside that of the result takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SideOutput {
    /// The late rows of the query.
    LateRows,
    /// Bad records, in the sink of this name.
    DeadLetters(String),
}

/// As a user would say it.
impl fmt::Display for SideOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SideOutput::LateRows => f.write_str("late rows"),
            SideOutput::DeadLetters(sink) => write!(f, "dead letters in \"{sink}\""),
        }
    }
}

/// What an epoch handed to one of these sinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCommit {
    /// What that sink must be again, by name: `path`.
    pub sink: BTreeMap<String, String>,
    /// What it needs to publish the rows, now or after a crash.
    pub sink_token: CommitToken,
}

impl SideCommit {
    /// Whether there is nothing to publish: the token is empty, or names no files. Then it does not
    /// matter where that would have been.
    pub fn is_empty(&self) -> bool {
        match &self.sink_token.0 {
            Value::Null => true,
            Value::Object(members) => members.values().all(|member| match member {
                Value::Array(items) => items.is_empty(),
                _ => false,
            }),
            _ => false,
        }
    }
}

/// What an epoch handed to all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideCommits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late_rows: Option<SideCommit>,
    /// By the name of the sink.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dead_letters: BTreeMap<String, SideCommit>,
}

impl SideCommits {
    /// With one more, in the place of what was there.
    pub fn insert(&mut self, output: SideOutput, commit: SideCommit) {
        match output {
            SideOutput::LateRows => self.late_rows = Some(commit),
            SideOutput::DeadLetters(sink) => {
                self.dead_letters.insert(sink, commit);
            }
        }
    }

    /// What it handed to one of them.
    pub fn get(&self, output: &SideOutput) -> Option<&SideCommit> {
        match output {
            SideOutput::LateRows => self.late_rows.as_ref(),
            SideOutput::DeadLetters(sink) => self.dead_letters.get(sink),
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, output: &SideOutput) -> Option<&mut SideCommit> {
        match output {
            SideOutput::LateRows => self.late_rows.as_mut(),
            SideOutput::DeadLetters(sink) => self.dead_letters.get_mut(sink),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (SideOutput, &SideCommit)> {
        let late = self.late_rows.iter();
        let late = late.map(|commit| (SideOutput::LateRows, commit));
        let dead = self.dead_letters.iter();
        late.chain(dead.map(|(sink, commit)| (SideOutput::DeadLetters(sink.clone()), commit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_members_of_the_record() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Record {
            epoch: u64,
            #[serde(flatten)]
            beside: SideCommits,
        }
        let commit = |path: &str| SideCommit {
            sink: BTreeMap::from([("path".to_string(), path.to_string())]),
            sink_token: CommitToken(serde_json::json!({ "files": [] })),
        };
        let mut beside = SideCommits::default();
        let nothing = Record {
            epoch: 1,
            beside: beside.clone(),
        };
        assert_eq!(serde_json::to_string(&nothing).unwrap(), r#"{"epoch":1}"#);
        let bad = SideOutput::DeadLetters("bad".to_string());
        beside.insert(bad.clone(), commit("/bad"));
        beside.insert(SideOutput::LateRows, commit("/late"));
        let outputs: Vec<SideOutput> = beside.iter().map(|(output, _)| output).collect();
        assert_eq!(outputs, [SideOutput::LateRows, bad.clone()]);
        assert_eq!(beside.get(&bad), Some(&commit("/bad")));
        let record = Record { epoch: 1, beside };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"epoch":1,"late_rows":{"sink":{"path":"/late"},"sink_token":{"files":[]}},"#,
                r#""dead_letters":{"bad":{"sink":{"path":"/bad"},"sink_token":{"files":[]}}}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
