//! Newtypes for the ids that cross crate boundaries.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a text.
            pub fn new(text: impl Into<Arc<str>>) -> Self { Self(text.into()) }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    };
}

text_id!(
    /// Identity of a streaming query, kept in its checkpoint: the same across restarts.
    QueryId
);
text_id!(
    /// Identity of a stateful operator: its place in the *logical* plan and its kind, for example
    /// `1-window-aggregate`. Never derived from the physical plan, which may change.
    OperatorId
);

/// Number of an epoch: one run of a query's plan over one slice per source. Counts from 0
/// without gaps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EpochId(pub u64);

impl EpochId {
    /// The epoch after this one.
    pub fn next(self) -> EpochId {
        EpochId(self.0 + 1)
    }

    /// The epoch before this one; `None` for epoch 0.
    pub fn previous(self) -> Option<EpochId> {
        self.0.checked_sub(1).map(EpochId)
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position of a source among the sources of one query, in the order of the logical plan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SourceIndex(pub usize);

/// Number of a shard of keyed state, below the query's shard count.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ShardId(pub u32);
