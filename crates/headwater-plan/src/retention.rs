//! How long a query keeps state that nothing ends: `state.ttl` and `dedup.retention`.
//!
//! What was asked of the query itself must find an operator that it means, or the query is refused:
//! an option that does nothing would be taken for one that does. What the session says is a default
//! for the queries that have such an operator.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use headwater_core::Result;
use headwater_core::state::KEPT_FOR;
use headwater_exec::aggregate::StreamAggregateExec;
use headwater_exec::idle_keys::StateTtl;
use headwater_exec::keyed::{Growth, KeyedRunsExec};

use crate::check::refuse;
use crate::node::{ClosingKind, KeyedLogic, KeyedNode};
use crate::stream_table::StreamDefinition;

/// How long a query keeps what nothing ends. The default is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// State by key that no row touches, in processing time: `state.ttl`.
    pub state_ttl: Option<Asked>,
    /// Keys whose first row is out, in event time: `dedup.retention`.
    pub dedup: Option<Asked>,
}

/// A time, and who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The time.
    pub time: Duration,
    /// Who asked.
    pub by: AskedBy,
}

/// Who asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// The session, for all its queries.
    Session,
    /// The query.
    Query,
}

impl Retention {
    /// The operators of a query over some sources with a time to live, if they can have one.
    ///
    /// # Errors
    /// If the query asked for one and has no operator that could have it.
    pub(crate) fn with_ttl(
        &self,
        physical: Arc<dyn ExecutionPlan>,
        sources: &[Arc<StreamDefinition>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(asked) = self.state_ttl else {
            return Ok(physical);
        };
        let ttl = StateTtl::new(asked.time);
        let forgetful = physical.transform_up(|node| {
            Ok(match forgetful(&node, ttl) {
                Some(node) => Transformed::yes(node),
                None => Transformed::no(node),
            })
        })?;
        match asked.by {
            AskedBy::Query if !forgetful.transformed => {
                let has_end = sources.iter().all(|source| source.watermark.is_some());
                match has_end || !has_windows(&forgetful.data)? {
                    true => Err(refuse::nothing_idle()),
                    false => Err(refuse::windows_without_end()),
                }
            }
            AskedBy::Query | AskedBy::Session => Ok(forgetful.data),
        }
    }

    /// Refuses a retention of keys that the query asked for and that no operator has.
    pub(crate) fn check_dedup(&self, plan: &LogicalPlan) -> Result<()> {
        match self.dedup {
            Some(asked) if asked.by == AskedBy::Query && !remembers(plan)? => {
                Err(refuse::nothing_remembered())
            }
            _ => Ok(()),
        }
    }
}

/// An operator that keeps state by key for ever, with a time to live.
fn forgetful(node: &Arc<dyn ExecutionPlan>, ttl: StateTtl) -> Option<Arc<dyn ExecutionPlan>> {
    if let Some(exec) = node.downcast_ref::<StreamAggregateExec>() {
        return match aggregate_growth(exec) {
            Growth::None | Growth::ByWindows => None,
            Growth::ByKeys | Growth::ByRows => Some(Arc::new(exec.with_ttl(ttl))),
        };
    }
    let exec = node.downcast_ref::<KeyedRunsExec>()?;
    let has_keys = !exec.runs().keys.is_empty();
    match exec.runs().growth {
        Growth::ByKeys | Growth::ByRows if has_keys => Some(Arc::new(exec.with_ttl(ttl))),
        Growth::None | Growth::ByWindows | Growth::ByKeys | Growth::ByRows => None,
    }
}

fn has_windows(physical: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    Ok(physical.exists(|node| {
        let aggregate = node.downcast_ref::<StreamAggregateExec>();
        Ok(aggregate.is_some_and(|exec| exec.aggregate().window.is_some()))
    })?)
}

/// How the state of an aggregation grows: that of windows goes with them, and one group is one.
pub(crate) fn aggregate_growth(exec: &StreamAggregateExec) -> Growth {
    match exec.aggregate().window {
        None if exec.aggregate().spec.key_count() > 0 => Growth::ByKeys,
        None | Some(_) => Growth::None,
    }
}

fn remembers(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        if let LogicalPlan::Extension(extension) = node {
            let node = extension.node.as_any().downcast_ref::<KeyedNode>();
            found |= node.is_some_and(|node| is_remembering(&node.logic));
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn is_remembering(logic: &KeyedLogic) -> bool {
    match logic {
        KeyedLogic::Rank {
            closes: Some(closing),
            ..
        } => matches!(closing.kind, ClosingKind::Remembered(_)),
        _ => false,
    }
}

/// What the state schema of an operator says of its time to live, so that another one is noticed
/// when a query is resumed.
pub(crate) struct KeptFor(pub(crate) Option<StateTtl>);

impl fmt::Display for KeptFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ttl) => write!(f, "{KEPT_FOR}{ttl}"),
            None => Ok(()),
        }
    }
}
