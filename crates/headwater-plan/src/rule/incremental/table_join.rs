//! Joins of a stream with a table that does not change.

use std::sync::Arc;

use datafusion::common::{JoinSide, JoinType, Result};
use datafusion::logical_expr::{Extension, Join, LogicalPlan};

use headwater_core::mode::OutputMode;

use super::{Change, Converter, Incremental};
use crate::check::refuse;
use crate::node::StaticNode;
use crate::rule::number_sources::reads_sources;

impl Converter {
    /// A stream with a table. A row of the stream finds the same rows whenever it comes, so nothing
    /// is kept; what the table has and the stream has not can only be told at the end of time.
    pub(super) fn join_with_table(
        &mut self,
        plan: &LogicalPlan,
        join: &Join,
    ) -> Result<Incremental> {
        let stream_side = match (reads_sources(&join.left), reads_sources(&join.right)) {
            (true, false) => JoinSide::Left,
            (false, true) => JoinSide::Right,
            _ => return Err(refuse::shape(plan).into()),
        };
        let keeps_to_stream = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => {
                stream_side == JoinSide::Left
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => {
                stream_side == JoinSide::Right
            }
            JoinType::Full | JoinType::LeftMark | JoinType::RightMark => false,
        };
        if !keeps_to_stream {
            return Err(refuse::unmatched_table_rows(join.join_type).into());
        }
        let (stream, table) = match stream_side {
            JoinSide::Left => (&join.left, &join.right),
            _ => (&join.right, &join.left),
        };
        let Incremental {
            plan: stream,
            change,
            time,
            has_state,
        } = self.convert(stream)?;
        if self.mode == OutputMode::Update && change != Change::AppendOnly {
            return Err(refuse::over_updates("a join").into());
        }
        let table = LogicalPlan::Extension(Extension {
            node: Arc::new(StaticNode {
                input: Arc::clone(table),
            }),
        });
        let inputs = match stream_side {
            JoinSide::Left => vec![stream, table],
            _ => vec![table, stream],
        };
        Ok(Incremental {
            plan: plan.with_new_exprs(plan.expressions(), inputs)?,
            // A row of the stream may find several of the table.
            change: change.with_key(|_| None),
            time,
            has_state,
        })
    }
}
