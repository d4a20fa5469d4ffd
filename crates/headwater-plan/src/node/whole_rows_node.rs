//! `WholeRowsNode`: rows that keep all their columns.
//!
//! DataFusion's optimizer takes columns away that nobody reads. Rows that come too late are handed
//! to `LATE ROWS INTO` as they reached the operator, so below such an operator all of them are
//! read. The node is gone from the physical plan.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

/// Rows with all their columns. See the module's page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct WholeRowsNode {
    /// Rows.
    pub input: Arc<LogicalPlan>,
}

impl UserDefinedLogicalNodeCore for WholeRowsNode {
    fn name(&self) -> &'static str {
        "WholeRows"
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
        write!(f, "WholeRows: late rows are kept")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Ok(WholeRowsNode {
                input: Arc::new(input),
            }),
            None => internal_err!("whole rows take one input"),
        }
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.schema().fields().len()).collect()])
    }
}
