//! Small shared parts of the operators' `ExecutionPlan` surface.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::{Result, internal_datafusion_err};
use datafusion_physical_expr::{EquivalenceProperties, Partitioning};
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion_physical_plan::{ExecutionPlan, PlanProperties};

/// Properties of an operator that hands batches on as they come and promises no order.
pub(crate) fn same_partitions(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    with_partitioning(schema, Partitioning::UnknownPartitioning(partitions))
}

/// Properties with a partitioning of one's own.
pub(crate) fn with_partitioning(
    schema: SchemaRef,
    partitioning: Partitioning,
) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        partitioning,
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// Exactly `N` children.
pub(crate) fn exact_children<const N: usize>(
    name: &str,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<[Arc<dyn ExecutionPlan>; N]> {
    let found = children.len();
    children
        .try_into()
        .map_err(|_| internal_datafusion_err!("{name} takes {N} children and was given {found}"))
}
