//! `StaticNode`: a part of a streaming query that reads no source, and is kept.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};

use headwater_exec::kept::Refresh;

/// Rows that are kept. See the module's page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct StaticNode {
    /// What is read.
    pub input: Arc<LogicalPlan>,
    /// Which epochs see it.
    pub seen: Seen,
}

/// Which epochs see a part that reads no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub enum Seen {
    /// All; when it is read again. That is not shown: a query may change it and go on.
    Always(Refresh),
    /// The first: its rows are added to those of the streams, once.
    InFirstEpoch,
}

impl StaticNode {
    /// A part of a plan, for some epochs or all.
    pub(crate) fn of(input: &Arc<LogicalPlan>, seen: Seen) -> LogicalPlan {
        let input = Arc::clone(input);
        LogicalPlan::Extension(Extension {
            node: Arc::new(StaticNode { input, seen }),
        })
    }
}

impl UserDefinedLogicalNodeCore for StaticNode {
    fn name(&self) -> &'static str {
        "Static"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seen {
            Seen::Always(_) => write!(f, "Static"),
            Seen::InFirstEpoch => write!(f, "Static: in the first epoch"),
        }
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Ok(StaticNode {
                input: Arc::new(input),
                seen: self.seen,
            }),
            None => internal_err!("a static part takes one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }

    /// None: rows that nobody asks for need not be kept.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }
}
