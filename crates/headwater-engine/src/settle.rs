//! What a transaction of the sink has decided and nobody wrote down.
//!
//! A process that dies between the end of a transaction and its commit record leaves the record in
//! a waiting place. The sink's note of its last epoch says what happened:
//!
//! | note | what it means |
//! | --- | --- |
//! | a waiting epoch | it has happened: its record takes its place |
//! | the last committed epoch | it has not: it runs again |
//! | a later one | the checkpoint is an old copy; or the query was run at least once since, and has not come to writing that epoch again |
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
    let prepared: Vec<EpochId> = recovered.prepared.iter().map(|p| p.epoch).collect();
    let last = recovered.last_commit.as_ref();
    let facts = Facts {
        published,
        prepared: &prepared,
        committed: last.map(|c| c.epoch),
        // After a query was taken back, the note is of the epochs before.
        has_noted: last.is_some_and(|c| c.is_transaction && c.rewound_to.is_none()),
    };
    match verdict(&facts) {
        Verdict::Happened(epoch) => {
            let mut records = recovered.prepared.iter();
            let Some(noted) = records.find(|record| record.epoch == epoch).cloned() else {
                return Err(Error::internal(format!("epoch {epoch} was not prepared")));
            };
            let (writer, record) = (Arc::clone(checkpoint), noted.clone());
            blocking(move || writer.finish_commit(&record)).await?;
            without_prepared(checkpoint, recovered.after(noted)).await
        }
        Verdict::NoteIsLost(prepared) => Err(note_is_lost(checkpoint, prepared)),
        Verdict::CheckpointIsOld(published) => {
            Err(checkpoint_is_old(checkpoint, published, facts.committed))
        }
        Verdict::Nothing => without_prepared(checkpoint, recovered).await,
    }
}

/// What is known of the newest epochs.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    /// The sink's note.
    published: Option<EpochId>,
    /// The epochs whose commits wait, in order.
    prepared: &'a [EpochId],
    /// The epoch of the newest commit record.
    committed: Option<EpochId>,
    /// Whether the sink has noted that one.
    has_noted: bool,
}

/// What follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// This prepared epoch has happened.
    Happened(EpochId),
    /// Nothing has happened since the newest commit.
    Nothing,
    /// Whether this prepared epoch has happened cannot be known.
    NoteIsLost(EpochId),
    /// The sink has committed this epoch, of which the checkpoint does not know.
    CheckpointIsOld(EpochId),
}

fn verdict(facts: &Facts<'_>) -> Verdict {
    let Facts {
        published,
        prepared,
        committed,
        has_noted,
    } = *facts;
    match (published, prepared.last()) {
        (Some(noted), _) if prepared.contains(&noted) => Verdict::Happened(noted),
        (Some(noted), _) if Some(noted) > committed => Verdict::CheckpointIsOld(noted),
        (_, Some(waits)) if has_noted && published < committed => Verdict::NoteIsLost(*waits),
        _ => Verdict::Nothing,
    }
}

/// Forgets what was prepared and has not happened.
async fn without_prepared(checkpoint: &Arc<Checkpoint>, recovered: Recovered) -> Result<Recovered> {
    let Recovered { prepared, .. } = recovered;
    if !prepared.is_empty() {
        let writer = Arc::clone(checkpoint);
        blocking(move || prepared.iter().try_for_each(|p| writer.discard_commit(p))).await?;
    }
    Ok(Recovered {
        prepared: vec![],
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
        "Start the query with its newest checkpoint. If it has run with delivery = 'at-least-once' \
         since, let it run so until it has committed that epoch. To write those rows again on \
         purpose, use a new checkpoint folder.",
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
            ((7, 7, 6, true), Verdict::Happened(EpochId(7))),
            ((0, 0, -1, false), Verdict::Happened(EpochId(0))),
            ((6, 7, 6, true), Verdict::Nothing),
            ((6, -1, 6, true), Verdict::Nothing),
            ((-1, -1, -1, false), Verdict::Nothing),
            // The first transaction of a query, or the first after at-least-once.
            ((-1, 0, -1, false), Verdict::Nothing),
            ((-1, 7, 6, false), Verdict::Nothing),
            // The note was forgotten, and nothing waits for it.
            ((-1, -1, 6, true), Verdict::Nothing),
            ((-1, 7, 6, true), Verdict::NoteIsLost(EpochId(7))),
            ((5, 7, 6, true), Verdict::NoteIsLost(EpochId(7))),
            ((8, 7, 6, true), Verdict::CheckpointIsOld(EpochId(8))),
            ((7, -1, 6, true), Verdict::CheckpointIsOld(EpochId(7))),
            ((7, -1, -1, false), Verdict::CheckpointIsOld(EpochId(7))),
        ];
        for ((published, prepared, committed, has_noted), expected) in cases {
            let prepared: Vec<EpochId> = at(prepared).into_iter().collect();
            let facts = Facts {
                published: at(published),
                prepared: &prepared,
                committed: at(committed),
                has_noted,
            };
            assert_eq!(verdict(&facts), expected, "{facts:?}");
        }
    }
}
