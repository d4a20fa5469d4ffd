//! `FirstEpochExec`: rows of a table that a query adds to those of its streams, once.
//!
//! - **Input**: a plan that reads no source. **Output**: its rows, in the query's first epoch.
//! - **State**: none. The first epoch has the number 0, however often it runs.
//! - **Time**: none.
//! - **Replay**: a function of the epoch's number, and of the rows, which its input keeps.
//! - **Errors**: those of the input.

use std::fmt;
use std::sync::Arc;

use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::stream::EmptyRecordBatchStream;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};

use headwater_core::id::EpochId;

use crate::epoch_context::EpochContext;
use crate::plan_properties::{exact_children, same_partitions};

/// Gives its input in the first epoch. See the module's page.
#[derive(Debug)]
pub struct FirstEpochExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl FirstEpochExec {
    /// The rows of a plan, once.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = same_partitions(input.schema(), partitions);
        FirstEpochExec { input, properties }
    }
}

impl DisplayAs for FirstEpochExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstEpochExec")
    }
}

impl ExecutionPlan for FirstEpochExec {
    fn name(&self) -> &'static str {
        "FirstEpochExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = exact_children(self.name(), children)?;
        Ok(Arc::new(FirstEpochExec::new(input)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if EpochContext::of(&context)?.epoch == EpochId(0) {
            return self.input.execute(partition, context);
        }
        Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())))
    }
}
