//! What a query is, apart from what it runs with: its checkpoint keeps it, to compare the next start
//! with it.

use std::collections::BTreeMap;

use headwater_checkpoint::{HEADWATER_VERSION, OperatorMetadata, QueryMetadata, SourceMetadata};
use headwater_plan::StreamPlan;

/// What a query is.
#[derive(Debug, Clone)]
pub struct QueryOutline<'a> {
    /// The user's name of it.
    pub name: &'a str,
    /// Its text.
    pub sql: &'a str,
    /// What it runs.
    pub plan: &'a StreamPlan,
    /// What its sink says of itself.
    pub sink: Vec<(&'static str, String)>,
    /// Number of shards of keyed state.
    pub shard_count: usize,
}

impl QueryOutline<'_> {
    /// What the checkpoint of a query that starts for the first time holds of it.
    pub fn metadata(&self) -> QueryMetadata {
        let plan = self.plan;
        let operators = plan.operators.iter().map(|o| OperatorMetadata {
            id: o.id.clone(),
            kind: kind_of(o.id.as_str()),
            state_schema: o.state_schema.clone(),
        });
        let sources = plan.sources.iter().map(|s| SourceMetadata {
            name: s.name.clone(),
            identity: s.identity(),
        });
        let sink = self.sink.iter();
        QueryMetadata {
            query_id: QueryMetadata::new_query_id(),
            name: self.name.to_string(),
            sql: self.sql.to_string(),
            plan_fingerprint: plan.fingerprint.clone(),
            plan: plan.steps.clone(),
            operators: operators.collect(),
            sources: sources.collect(),
            sink: sink
                .map(|(p, value)| (p.to_string(), value.clone()))
                .collect(),
            shard_count: u32::try_from(self.shard_count).unwrap_or(u32::MAX),
            hash: "datafusion-repartition-55".to_string(),
            output_mode: plan.mode,
            dropped_state: BTreeMap::new(),
            format_version: headwater_checkpoint::record::FORMAT_VERSION,
            version: HEADWATER_VERSION.to_string(),
        }
    }
}

/// `window-aggregate` out of `0-window-aggregate`.
fn kind_of(operator: &str) -> String {
    let kind = operator.split_once('-').map(|(_, kind)| kind);
    kind.unwrap_or(operator).to_string()
}

/// The name of a source's list in the checkpoint.
pub(crate) fn journal_name(index: usize, source: &str) -> String {
    format!("{index}-{source}")
}
