//! What a transaction of the sink has decided and nobody wrote down.
//!
//! A process that dies between the end of a transaction and its commit record leaves the record in
//! a waiting place. The sink's note of its last epoch says what happened:
//!
//! | note | what it means |
//! | --- | --- |
//! | the waiting epoch | it has happened: its record takes its place |
//! | the last committed epoch | it has not: it runs again |
//! | a later one | the checkpoint is an old copy |
//! | an earlier one, or none | the sink has lost its note: nobody can say |

use std::sync::Arc;

use headwater_checkpoint::{Checkpoint, Recovered};
use headwater_core::id::EpochId;
use headwater_core::{Error, Result};

use crate::execute::blocking;
use crate::outage::Outage;
use crate::outputs;
use crate::query_spec::QuerySpec;

/// Brings the checkpoint to what the sink has decided; the sink must be open.
///
/// # Errors
/// Checkpoint if the two cannot be brought together; what the sink says if it cannot be asked.
pub(crate) async fn settle(
    spec: &QuerySpec,
    checkpoint: &Arc<Checkpoint>,
    recovered: Recovered,
    outage: &Outage,
) -> Result<Recovered> {
    if !outputs::decides_by_transaction(spec) {
        return without_prepared(checkpoint, recovered).await;
    }
    let published = outputs::last_published(spec, outage).await?;
    let facts = Facts {
        published,
        prepared: recovered.prepared.as_ref().map(|p| p.epoch),
        committed: recovered.last_commit.as_ref().map(|c| c.epoch),
        has_noted: recovered
            .last_commit
            .as_ref()
            .is_some_and(|c| c.is_transaction),
    };
    match (verdict(&facts), recovered.prepared.clone()) {
        (Verdict::Happened, Some(prepared)) => {
            let (writer, record) = (Arc::clone(checkpoint), prepared.clone());
            blocking(move || writer.finish_commit(&record)).await?;
            let mut pending = recovered.pending;
            pending.retain(|logged| Some(logged.epoch) > published);
            Ok(Recovered {
                last_commit: Some(prepared),
                pending,
                prepared: None,
            })
        }
        (Verdict::NoteIsLost, Some(prepared)) => Err(note_is_lost(checkpoint, prepared.epoch)),
        (Verdict::CheckpointIsOld(published), _) => {
            Err(checkpoint_is_old(checkpoint, published, facts.committed))
        }
        _ => without_prepared(checkpoint, recovered).await,
    }
}

/// What is known of the newest epochs.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// The sink's note.
    published: Option<EpochId>,
    /// The epoch whose commit waits.
    prepared: Option<EpochId>,
    /// The epoch of the newest commit record.
    committed: Option<EpochId>,
    /// Whether the sink has noted that one.
    has_noted: bool,
}

/// What follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The prepared epoch has happened.
    Happened,
    /// Nothing has happened since the newest commit.
    Nothing,
    /// Whether the prepared epoch has happened cannot be known.
    NoteIsLost,
    /// The sink has committed this epoch, of which the checkpoint does not know.
    CheckpointIsOld(EpochId),
}

fn verdict(facts: &Facts) -> Verdict {
    let Facts {
        published,
        prepared,
        committed,
        has_noted,
    } = *facts;
    match published {
        Some(noted) if prepared == Some(noted) => Verdict::Happened,
        Some(noted) if Some(noted) > committed => Verdict::CheckpointIsOld(noted),
        _ if prepared.is_some() && has_noted && published < committed => Verdict::NoteIsLost,
        _ => Verdict::Nothing,
    }
}

/// Forgets an epoch that was prepared and has not happened.
async fn without_prepared(checkpoint: &Arc<Checkpoint>, recovered: Recovered) -> Result<Recovered> {
    let Some(prepared) = recovered.prepared else {
        return Ok(recovered);
    };
    let writer = Arc::clone(checkpoint);
    blocking(move || writer.discard_commit(&prepared)).await?;
    Ok(Recovered {
        prepared: None,
        ..recovered
    })
}

fn checkpoint_is_old(checkpoint: &Checkpoint, published: EpochId, last: Option<EpochId>) -> Error {
    let stands = match last {
        Some(last) => format!("stands after epoch {last}"),
        None => "holds no committed epoch".to_string(),
    };
    Error::checkpoint(format!(
        "checkpoint \"{}\" {stands}, and the sink has committed epoch {published} of this query",
        checkpoint.describe()
    ))
    .with_detail("Going on would write the rows of the epochs in between a second time.")
    .with_hint(
        "Start the query with its newest checkpoint. To write those rows again on purpose, use a \
         new checkpoint folder.",
    )
}

fn note_is_lost(checkpoint: &Checkpoint, prepared: EpochId) -> Error {
    Error::checkpoint(format!(
        "nobody can say whether epoch {prepared} of checkpoint \"{}\" is in the sink: its note of \
         the last transaction is gone",
        checkpoint.describe()
    ))
    .with_detail(
        "Brokers forget the notes of groups that have been silent for longer than \
         `offsets.retention.minutes`, seven days if nobody changed it.",
    )
    .with_hint(
        "Look at the newest rows in the sink. Then either start with a new checkpoint folder, or \
         set delivery = 'at-least-once', which writes the epoch again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_decides() {
        let at = |epoch: i64| u64::try_from(epoch).ok().map(EpochId);
        // The note, the waiting record, the newest commit, and whether that was noted; -1 is none.
        let cases = [
            ((7, 7, 6, true), Verdict::Happened),
            ((0, 0, -1, false), Verdict::Happened),
            ((6, 7, 6, true), Verdict::Nothing),
            ((6, -1, 6, true), Verdict::Nothing),
            ((-1, -1, -1, false), Verdict::Nothing),
            // The first transaction of a query, or the first after at-least-once.
            ((-1, 0, -1, false), Verdict::Nothing),
            ((-1, 7, 6, false), Verdict::Nothing),
            // The note was forgotten, and nothing waits for it.
            ((-1, -1, 6, true), Verdict::Nothing),
            ((-1, 7, 6, true), Verdict::NoteIsLost),
            ((5, 7, 6, true), Verdict::NoteIsLost),
            ((8, 7, 6, true), Verdict::CheckpointIsOld(EpochId(8))),
            ((7, -1, 6, true), Verdict::CheckpointIsOld(EpochId(7))),
            ((7, -1, -1, false), Verdict::CheckpointIsOld(EpochId(7))),
        ];
        for ((published, prepared, committed, has_noted), expected) in cases {
            let facts = Facts {
                published: at(published),
                prepared: at(prepared),
                committed: at(committed),
                has_noted,
            };
            assert_eq!(verdict(&facts), expected, "{facts:?}");
        }
    }
}
