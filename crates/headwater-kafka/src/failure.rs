//! Why a partition cannot be read on, kept until it is asked for; one that may pass is tried again
//! after it was told.

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

    /// An offset that the partition does not hold.
    pub(crate) fn out_of_range(partition: &Partition, wanted: i64, start: i64, end: i64) -> Self {
        let (detail, hint) = if wanted < start {
            (
                format!(
                    "The records from {wanted} to {start} were removed, by retention or by hand, \
                     before they were read."
                ),
                "Start with a new checkpoint, or give the topic a longer retention.",
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
                "{} holds offsets {start} to {end}, but offset {wanted} is wanted",
                named(partition)
            ),
            detail: Some(detail),
            hint: Some(hint),
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
