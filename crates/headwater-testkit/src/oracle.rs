//! Batch is the oracle: what a query emitted, folded, is what its SELECT gives as a bounded read.
//!
//! | mode | fold |
//! | --- | --- |
//! | append, or no state | the rows of all epochs |
//! | update | the newest row of every key that is not gone |
//! | complete | the rows of the newest epoch |

use std::collections::BTreeMap;

use headwater_core::changes::{DELETE, without_ops};
use headwater_core::{Error, Result};

use crate::query::{Folding, TestQuery};
use crate::session::TestSession;
use crate::text_rows::{TextRow, sorted, text_rows};

/// Ends the memory sources, runs every query to its end, and compares each with its bounded read.
///
/// # Errors
/// If one differs; the message shows both.
pub async fn check_oracle(session: &mut TestSession) -> Result<()> {
    let headwater = session.headwater().clone();
    let sources = Box::pin(headwater.sql("SHOW SOURCES"))
        .await?
        .collect()
        .await?;
    for source in text_rows(&sources)? {
        let stream = source.first().and_then(|n| headwater.memory_stream(n));
        if let Some(stream) = stream {
            stream.end();
        }
    }
    for name in session.query_names() {
        session.run_to_end(&name).await?;
        let query = session.query(&name)?;
        let folded = sorted(rounded(fold(query)?));
        let batch = Box::pin(headwater.sql(query.select()))
            .await?
            .collect()
            .await?;
        let batch = sorted(rounded(text_rows(&batch)?));
        if folded != batch {
            return Err(Error::internal(format!(
                "query \"{name}\" differs from its bounded read\nemitted: {}\nbatch:   {}",
                lines(&folded),
                lines(&batch)
            )));
        }
    }
    Ok(())
}

/// Floating-point numbers to ten digits: sums in another order differ in the last ones.
fn rounded(rows: Vec<TextRow>) -> Vec<TextRow> {
    let round = |text: String| match text.parse::<f64>() {
        Ok(number) if text.contains('.') => format!("{number:.9e}"),
        _ => text,
    };
    let rows = rows.into_iter();
    rows.map(|row| row.into_iter().map(round).collect())
        .collect()
}

fn lines(rows: &[TextRow]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.join(" ")).collect();
    rows.join("\n         ")
}

/// What everything emitted amounts to.
///
/// # Errors
/// If the query is not open, or updates without a key.
pub fn fold(query: &TestQuery) -> Result<Vec<TextRow>> {
    let folding = query
        .folding()
        .ok_or_else(|| Error::internal("the query is not open"))?;
    let ledger = query.ledger();
    let epochs = ledger.epochs();
    match folding {
        Folding::All => {
            let all: Vec<_> = epochs.into_iter().flat_map(|(_, rows)| rows).collect();
            text_rows(&all)
        }
        Folding::Newest => match epochs.last() {
            Some((_, rows)) => text_rows(rows),
            None => Ok(vec![]),
        },
        Folding::ByKey(key) => {
            let schema = ledger.schema();
            let schema = schema.ok_or_else(|| Error::internal("the sink was not opened"))?;
            let key: Vec<usize> = key
                .iter()
                .map(|name| schema.index_of(name))
                .collect::<Result<_, _>>()?;
            if key.is_empty() {
                return Err(Error::plan("updates without a key cannot be folded"));
            }
            let has_ops = without_ops(&schema) != schema;
            let mut newest = BTreeMap::new();
            for (_, rows) in epochs {
                for mut row in text_rows(&rows)? {
                    let key: Vec<_> = key.iter().filter_map(|i| row.get(*i).cloned()).collect();
                    let op = if has_ops { row.pop() } else { None };
                    let before = match op.as_deref() {
                        Some(DELETE) => newest.remove(&key).map(|_| ()),
                        _ => newest.insert(key.clone(), row).map(|_| ()),
                    };
                    if op.as_deref() == Some(DELETE) && before.is_none() {
                        return Err(Error::internal(format!(
                            "{key:?} is gone and was not there"
                        )));
                    }
                }
            }
            Ok(newest.into_values().collect())
        }
    }
}
