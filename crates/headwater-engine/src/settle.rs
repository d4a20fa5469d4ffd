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
    let last = recovered.last_commit.as_ref();
    let has_noted = last.is_some_and(|commit| commit.is_transaction);
    let last = last.map(|commit| commit.epoch);
    if let Some(prepared) = &recovered.prepared {
        if published == Some(prepared.epoch) {
            let (writer, record) = (Arc::clone(checkpoint), prepared.clone());
            blocking(move || writer.finish_commit(&record)).await?;
            let mut pending = recovered.pending;
            pending.retain(|logged| Some(logged.epoch) > published);
            return Ok(Recovered {
                last_commit: recovered.prepared,
                pending,
                prepared: None,
            });
        }
        if has_noted && published < last {
            return Err(note_is_lost(checkpoint, prepared.epoch));
        }
    }
    match published {
        Some(published) if Some(published) > last => {
            Err(checkpoint_is_old(checkpoint, published, last))
        }
        _ => without_prepared(checkpoint, recovered).await,
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
