//! `StaticNode`: a part of a streaming query that reads no source, as a query sees it: once.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

/// Rows that are read once. See the module's page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct StaticNode {
    /// What is read.
    pub input: Arc<LogicalPlan>,
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
        write!(f, "Static: read once")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.pop() {
            Some(input) => Ok(StaticNode {
                input: Arc::new(input),
            }),
            None => internal_err!("a static part takes one input"),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}
