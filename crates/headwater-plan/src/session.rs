//! The DataFusion session that headwater plans in.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};
use headwater_exec::session_memory::SessionMemory;

use crate::large_stack::on_large_stack;
use crate::physical::StreamExtensionPlanner;
use crate::rule::kept_tables::KeptTables;
use crate::window_struct::window_time_udf;
use crate::window_udf::{event_time_udf, session_window_udf, window_udf};

/// A session whose optimizer leaves alone what may not differ between two epochs.
///
/// Switched off, and why: dynamic filters and top-k aggregation keep facts of one execution in
/// the plan; statistics would let a plan depend on the first epoch; round-robin repartitioning
/// adds thread hops to small epochs, and the scan already has one partition per reader.
///
/// # Errors
/// If there is no folder for temporary files.
pub fn session(target_partitions: usize, types: Arc<dyn TypePlanner>) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions.max(1))
        .with_information_schema(true)
        .with_round_robin_repartition(false)
        .with_collect_statistics(false);
    let options = config.options_mut();
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_aggregation = false;
    options.optimizer.enable_distinct_aggregation_soft_limit = false;
    options.sql_parser.map_string_types_to_utf8view = true;
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = None;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(SessionMemory::default()))
        .build_arc()?;
    let mut physical_rules = PhysicalOptimizer::new().rules;
    physical_rules.insert(0, Arc::new(KeptTables));
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_physical_optimizer_rules(physical_rules)
        .with_query_planner(Arc::new(StreamQueryPlanner))
        .with_type_planner(types)
        .build();
    let context = SessionContext::new_with_state(state);
    for window in [window_udf(), session_window_udf()] {
        context.register_udf(window.as_ref().clone());
    }
    context.register_udf(window_time_udf());
    context.register_udf(event_time_udf());
    Ok(context)
}

#[derive(Debug)]
struct StreamQueryPlanner;

#[async_trait]
impl QueryPlanner for StreamQueryPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let extensions: Vec<Arc<dyn datafusion::physical_planner::ExtensionPlanner + Send + Sync>> =
            vec![Arc::new(StreamExtensionPlanner)];
        let planner = DefaultPhysicalPlanner::with_extension_planners(extensions);
        on_large_stack(planner.create_physical_plan(logical_plan, session)).await
    }
}
