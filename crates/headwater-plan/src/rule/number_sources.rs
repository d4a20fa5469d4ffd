//! Gives every scan of a declared source its position among the sources of the query.
//!
//! A source that is scanned twice is two sources: each scan has its own offsets.
//!
//! ```text
//! TableScan: orders            →  TableScan: orders (source 0)
//! ```

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{LogicalPlan, TableScan};

use headwater_core::connector::SourceUse;
use headwater_core::id::SourceIndex;

use crate::stream_table::{StreamDefinition, StreamTable};

/// The numbered plan and the sources in their order.
pub(crate) fn number_sources(
    plan: LogicalPlan,
    use_of: SourceUse,
) -> Result<(LogicalPlan, Vec<Arc<StreamDefinition>>)> {
    let mut sources = Vec::new();
    let numbered = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return Ok(Transformed::no(node));
        };
        let Some(table) = stream_table(scan) else {
            return Ok(Transformed::no(node));
        };
        let index = Some(SourceIndex(sources.len()));
        let definition = Arc::clone(&table.definition);
        sources.push(Arc::clone(&definition));
        let source = provider_as_source(Arc::new(StreamTable {
            definition,
            index,
            use_of,
        }));
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan {
            source,
            ..scan.clone()
        })))
    })?;
    Ok((numbered.data, sources))
}

/// The stream table that a scan reads, if it is one.
pub(crate) fn stream_table(scan: &TableScan) -> Option<StreamTable> {
    let provider = source_as_provider(&scan.source).ok()?;
    let any: &dyn std::any::Any = provider.as_ref();
    any.downcast_ref::<StreamTable>().cloned()
}

/// The sources that a part of a plan reads.
pub(crate) fn sources_of(plan: &LogicalPlan) -> Vec<Arc<StreamDefinition>> {
    let mut found = Vec::new();
    // The closure never fails, so neither does the walk.
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.extend(stream_table(scan).map(|table| table.definition));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Whether a plan reads a declared source, in a subquery too.
pub fn reads_sources(plan: &LogicalPlan) -> bool {
    first_source(plan).is_some()
}

/// A source that a plan reads, in a subquery too.
pub(crate) fn first_source(plan: &LogicalPlan) -> Option<Arc<StreamDefinition>> {
    let mut found = None;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found = stream_table(scan).map(|table| table.definition);
        }
        Ok(match found {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    });
    found
}
