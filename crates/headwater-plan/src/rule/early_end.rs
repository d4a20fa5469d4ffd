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
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use headwater_exec::epoch_scan::{EpochScanExec, ReadUntil};

/// The plan with scans that know of a limit above them.
pub(crate) fn end_early(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    below(plan, Above::Nothing)
}

/// What stands above a part of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    Limit,
}

/// The part with scans that know of what stands above it. Only what stands above a changed scan is made
/// anew: operators may share what they learn while they run.
fn below(plan: &Arc<dyn ExecutionPlan>, above: Above) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = plan.downcast_ref::<EpochScanExec>() {
        let ends = above == Above::Limit && scan.spec().until == ReadUntil::End;
        return Ok(match ends {
            true => Arc::new(scan.until_enough()),
            false => Arc::clone(plan),
        });
    }
    let has_limit = above == Above::Limit || plan.fetch().is_some();
    let above = match hands_rows_on(plan) && has_limit {
        true => Above::Limit,
        false => Above::Nothing,
    };
    let children = plan.children().into_iter();
    let children = children.map(|child| below(child, above));
    replace_children_if_necessary(Arc::clone(plan), children.collect::<Result<_>>()?)
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
