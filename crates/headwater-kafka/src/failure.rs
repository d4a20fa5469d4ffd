//! Why a partition cannot be read on, kept until it is asked for; one that may pass is tried again
//! after it was told.

use headwater_core::event_time::EventTime;
use headwater_core::fingerprint::Fingerprint;
use headwater_core::offset::Partition;
use headwater_core::{Error, ErrorKind};

use crate::cluster::named;

/// A lasting failure; unlike [`Error`] it can be told more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<&'static str>,
}

/// Offsets from `start` up to `end`, which is none of them, in words: `offsets 0 to 9`.
pub(crate) fn offsets_between(start: i64, end: i64) -> String {
    match end.saturating_sub(start) {
        ..=0 => format!("no records before offset {end}"),
        1 => format!("offset {start}"),
        _ => format!("offsets {start} to {}", end.saturating_sub(1)),
    }
}

impl Failure {
    /// Reading can go on only if something outside changes.
    pub(crate) fn source(message: impl Into<String>, detail: Option<String>) -> Self {
        Failure {
            kind: ErrorKind::Source,
            message: message.into(),
            detail,
            hint: None,
        }
    }

    /// The topic went away while it was read.
    pub(crate) fn gone(partition: &Partition, reason: &str) -> Self {
        Failure {
            kind: ErrorKind::DataLoss,
            message: format!("{} is gone", named(partition)),
            detail: Some(format!("The broker says: {reason}.")),
            hint: Some("If the topic was deleted or made again, start with a new checkpoint."),
        }
    }

    /// A topic that was there is not.
    pub(crate) fn lost(message: &str) -> Self {
        Failure {
            kind: ErrorKind::DataLoss,
            message: message.to_string(),
            detail: Some("It was there when the query started.".to_string()),
            hint: Some("To read a topic that was made again, start with a new checkpoint folder."),
        }
    }

    /// Records in a form that is not known, such as one of another compression.
    pub(crate) fn unreadable(partition: &Partition, reason: &str) -> Self {
        Failure {
            kind: ErrorKind::Source,
            message: format!("{} holds records that cannot be read", named(partition)),
            detail: Some(format!("librdkafka says: {reason}.")),
            hint: Some(
                "Compressions that are read are gzip, snappy, lz4 and zstd. To leave the records out, \
                 delete them from the topic, and set 'on.data.loss' = 'skip'.",
            ),
        }
    }

    /// An offset that the partition does not hold.
    pub(crate) fn out_of_range(partition: &Partition, wanted: i64, start: i64, end: i64) -> Self {
        let (detail, hint) = if wanted < start {
            (
                format!(
                    "What was at {} was removed, by retention or by hand, before it was read.",
                    offsets_between(wanted, start)
                ),
                "To go on with what is left and count what is lost, set 'on.data.loss' = 'skip'. To \
                 lose nothing, give the topic a longer retention.",
            )
        } else {
            (
                "The broker has fewer records than this checkpoint has read.".to_string(),
                "If the topic was deleted and made again, start with a new checkpoint.",
            )
        };
        Failure {
            kind: ErrorKind::DataLoss,
            message: format!(
                "{} holds {}, but offset {wanted} is wanted",
                named(partition),
                offsets_between(start, end)
            ),
            detail: Some(detail),
            hint: Some(hint),
        }
    }

    /// Another record is where the last one was read.
    pub(crate) fn other_record(partition: &Partition, was: Fingerprint, is: Fingerprint) -> Self {
        let told = |record: Fingerprint| match record.timestamp_ms {
            ms @ 0.. => format!(
                "the time {} and checksum {:08x}",
                EventTime::from_millis(ms),
                record.crc
            ),
            _ => format!("no time and checksum {:08x}", record.crc),
        };
        Failure {
            kind: ErrorKind::DataLoss,
            message: format!(
                "offset {} of {} holds another record than this checkpoint has read",
                was.offset,
                named(partition)
            ),
            detail: Some(format!(
                "The record that was read has {}, the one that is there has {}. The topic was \
                 deleted and made again, or its name leads to another cluster.",
                told(was),
                told(is)
            )),
            hint: Some(
                "Start with a new checkpoint to read the topic as it is now; the offsets of the \
                 old one mean nothing there.",
            ),
        }
    }

    /// Whether another try may go well.
    pub(crate) fn may_pass(&self) -> bool {
        self.kind.is_retryable()
    }

    /// The error to return.
    pub(crate) fn to_error(&self) -> Error {
        let mut error = Error::new(self.kind, self.message.clone());
        if let Some(detail) = &self.detail {
            error = error.with_detail(detail.clone());
        }
        if let Some(hint) = self.hint {
            error = error.with_hint(hint);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_no_offset_that_is_held() {
        assert_eq!(offsets_between(0, 10), "offsets 0 to 9");
        assert_eq!(offsets_between(4, 5), "offset 4");
        assert_eq!(offsets_between(5, 5), "no records before offset 5");
    }
}
