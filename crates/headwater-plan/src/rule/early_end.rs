//! Scans below a LIMIT that is not theirs: they may end early, and read little ahead.
//!
//! ```text
//! GlobalLimitExec: fetch=10            GlobalLimitExec: fetch=10
//!   FilterExec: price > 5        →       FilterExec: price > 5
//!     EpochScanExec: …                     EpochScanExec: …, limit=above
//! ```
//!
//! How many rows a filter lets through is not known, so the scan itself has no limit. Between the two
//! stand only operators that hand rows on as they come: a sort or an aggregation reads everything.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;

use headwater_exec::epoch_scan::{EpochScanExec, ReadUntil};

/// The plan with scans that know of a limit above them.
pub(crate) fn end_early(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let changed = below(&plan, Above::Nothing)?;
    Ok(changed.unwrap_or(plan))
}

/// What stands above a part of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    Limit,
}

/// The changed plan; `None` if it stays as it is. Only what stands above a changed scan is made anew:
/// operators may share what they learn while they run.
fn below(plan: &Arc<dyn ExecutionPlan>, above: Above) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<EpochScanExec>() {
        let ends = above == Above::Limit && scan.spec().until == ReadUntil::End;
        return Ok(ends.then(|| Arc::new(scan.until_enough()) as _));
    }
    let has_limit = above == Above::Limit || plan.fetch().is_some();
    let above = match hands_rows_on(plan) && has_limit {
        true => Above::Limit,
        false => Above::Nothing,
    };
    let mut has_changed = false;
    let mut children = Vec::new();
    for child in plan.children() {
        let changed = below(child, above)?;
        has_changed |= changed.is_some();
        children.push(changed.unwrap_or_else(|| Arc::clone(child)));
    }
    match has_changed {
        true => Arc::clone(plan).with_new_children(children).map(Some),
        false => Ok(None),
    }
}

/// Whether rows come out as they go in, so that nobody asks for more when the last is out.
fn hands_rows_on(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<FilterExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<UnionExec>()
}
