//! The statements that exist only in tests.
//!
//! | statement | what it does |
//! | --- | --- |
//! | `FEED s VALUES (…), (…) [PARTITION n]` | appends rows to a source of connector `memory` |
//! | `EPOCH q` | runs one epoch over all that was fed since; gives the rows it emitted |
//! | `CLOCK +5s` | moves the clock |
//! | `RESTART q` | ends the process of a query and starts it again from its checkpoint |
//! | `PROGRESS q` | numbers of the last epoch: epoch, rows in, out, late, ahead, watermark |
//! | `LATE q` | the late rows that the last epoch handed to the sink of `LATE ROWS INTO` |
//! | `DEAD q` | the bad records that the last epoch handed to the sink of dead letters |
//! | `REFUSED statement` | gives the whole report of the error, a row a line |

use std::time::Duration;

use headwater_core::duration::parse_duration;
use headwater_core::{Error, Result};

/// A statement that exists only in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestStatement {
    /// `FEED s VALUES … [PARTITION n]`.
    Feed {
        /// The source.
        source: String,
        /// From `VALUES` to the last `)`.
        values: String,
        /// The partition; 0 if none is named.
        partition: usize,
    },
    /// `EPOCH q`.
    Epoch(String),
    /// `CLOCK +5s`.
    Clock(Duration),
    /// `RESTART q`.
    Restart(String),
    /// `PROGRESS q`.
    Progress(String),
    /// `LATE q`.
    Late(String),
    /// `DEAD q`.
    Dead(String),
    /// `REFUSED statement`, without the word; lines and columns are those of the statement.
    Refused(String),
}

impl TestStatement {
    /// Reads a statement; `None` if it is not one of these.
    ///
    /// # Errors
    /// If it is one, and wrong.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim_start();
        let name = || rest.to_string();
        Ok(Some(match word {
            "FEED" => feed(rest)?,
            "EPOCH" => TestStatement::Epoch(name()),
            "CLOCK" => {
                let by = rest.strip_prefix('+').ok_or_else(|| wrong(text))?;
                TestStatement::Clock(parse_duration(by)?)
            }
            "RESTART" => TestStatement::Restart(name()),
            "PROGRESS" => TestStatement::Progress(name()),
            "LATE" => TestStatement::Late(name()),
            "DEAD" => TestStatement::Dead(name()),
            "REFUSED" => TestStatement::Refused(name()),
            _ => return Ok(None),
        }))
    }
}

fn feed(text: &str) -> Result<TestStatement> {
    let (source, values) = text
        .split_once(char::is_whitespace)
        .ok_or_else(|| wrong(text))?;
    let end = values.rfind(')').ok_or_else(|| wrong(text))? + 1;
    let (values, tail) = values.split_at(end);
    let partition = match tail.trim() {
        "" => 0,
        tail => {
            let number = tail.strip_prefix("PARTITION").map(str::trim);
            let number = number.and_then(|n| n.parse().ok());
            number.ok_or_else(|| wrong(text))?
        }
    };
    Ok(TestStatement::Feed {
        source: source.to_string(),
        values: values.trim().to_string(),
        partition,
    })
}

fn wrong(text: &str) -> Error {
    Error::syntax(format!(
        "\"{text}\" is not a statement of the test language"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> TestStatement {
        TestStatement::parse(text).unwrap().unwrap()
    }

    #[test]
    fn statements_are_read() {
        assert_eq!(
            parse("FEED s VALUES (1, '(x)'),\n (2, NULL) PARTITION 3;"),
            TestStatement::Feed {
                source: "s".into(),
                values: "VALUES (1, '(x)'),\n (2, NULL)".into(),
                partition: 3,
            }
        );
        assert_eq!(parse("EPOCH q;"), TestStatement::Epoch("q".into()));
        assert_eq!(
            parse("CLOCK +5s"),
            TestStatement::Clock(Duration::from_secs(5))
        );
        assert_eq!(
            parse("REFUSED\nSELECT 1\nFROM t"),
            TestStatement::Refused("SELECT 1\nFROM t".into())
        );
        assert_eq!(TestStatement::parse("SELECT 1").unwrap(), None);
        assert!(TestStatement::parse("CLOCK 5s").is_err());
        assert!(TestStatement::parse("FEED s VALUES (1) PART 3").is_err());
    }
}
