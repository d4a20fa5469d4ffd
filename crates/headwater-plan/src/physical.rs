//! Logical nodes of our own to physical operators.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_datafusion_err, internal_err};
use datafusion::execution::context::ExecutionProps;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::future::BoxFuture;

use headwater_core::changes::without_ops;
use headwater_core::id::OperatorId;
use headwater_exec::aggregate::{Output, Phase, StreamAggregate, StreamAggregateExec};
use headwater_exec::aggregate_spec::AggregateSpec;
use headwater_exec::first_epoch::FirstEpochExec;
use headwater_exec::having::Having;
use headwater_exec::kept::Refresh;
use headwater_exec::late_rows::{LateColumns, LateRowsExec};
use headwater_exec::static_rows::{StaticRowsExec, TableReader};
use headwater_exec::window::WindowSpec;
use headwater_exec::window_assign::WindowAssignExec;

use crate::event_time_field::{WindowRole, window_of};
use crate::node::aggregate_node::{GroupColumn, GroupingSets};
use crate::node::static_node::Seen;
use crate::node::{KeyedNode, StaticNode, StreamAggregateNode, WholeRowsNode, WindowNode};
use crate::rule::grouping_sets::grouping_ids;
use crate::rule::late_inputs::{late_columns, once_per_window};

mod keyed;

/// Plans our nodes.
#[derive(Debug)]
pub(crate) struct StreamExtensionPlanner;

#[async_trait]
impl ExtensionPlanner for StreamExtensionPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let input = || {
            let input = physical_inputs.first().map(Arc::clone);
            input.ok_or_else(|| internal_datafusion_err!("{} has no input", node.name()))
        };
        let lower = Lower {
            planner,
            session,
            context,
        };
        if let Some(node) = node.as_any().downcast_ref::<WindowNode>() {
            return lower.window(node, input()?).map(Some);
        }
        if node.as_any().is::<WholeRowsNode>() {
            return input().map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<StaticNode>() {
            return static_rows(node, input()?, session).map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<KeyedNode>() {
            return lower.keyed(node, input()?).map(Some);
        }
        if let Some(node) = node.as_any().downcast_ref::<StreamAggregateNode>() {
            return lower.aggregate(node, input()?).map(Some);
        }
        Ok(None)
    }
}

fn static_rows(
    node: &StaticNode,
    input: Arc<dyn ExecutionPlan>,
    session: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let interval = match node.seen {
        Seen::Always(Refresh::Every(interval)) => interval,
        Seen::Always(Refresh::Never) => return Ok(Arc::new(StaticRowsExec::new(input))),
        Seen::InFirstEpoch => {
            let rows = StaticRowsExec::new(input);
            return Ok(Arc::new(FirstEpochExec::new(Arc::new(rows))));
        }
    };
    let state = session.as_any().downcast_ref::<SessionState>();
    let state = state.ok_or_else(|| internal_datafusion_err!("a session without a state"))?;
    let reader = PlannedAnew {
        state: state.clone(),
        plan: Arc::clone(&node.input),
    };
    let rows = StaticRowsExec::read_again(input, interval, Arc::new(reader));
    Ok(Arc::new(rows))
}

/// A table that is planned again whenever it is read again.
#[derive(Debug)]
struct PlannedAnew {
    state: SessionState,
    plan: Arc<LogicalPlan>,
}

impl TableReader for PlannedAnew {
    fn plan(&self) -> BoxFuture<'_, Result<Arc<dyn ExecutionPlan>>> {
        // It would name the files that there were.
        if let Some(files) = self
            .state
            .runtime_env()
            .cache_manager
            .get_list_files_cache()
        {
            files.clear();
        }
        let planner = self.state.query_planner();
        Box::pin(async move { planner.create_physical_plan(&self.plan, &self.state).await })
    }
}

struct Lower<'a> {
    planner: &'a dyn PhysicalPlanner,
    session: &'a dyn Session,
    context: &'a PhysicalPlanningContext,
}

/// A pane, keys and aggregates over an input, named.
struct Pieces {
    pane: Option<(WindowSpec, Arc<dyn PhysicalExpr>)>,
    keys: Vec<(Arc<dyn PhysicalExpr>, String)>,
    aggregates: Vec<Arc<AggregateFunctionExpr>>,
    filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
}

/// Aggregates, and the FILTER of each.
type Aggregates = (
    Vec<Arc<AggregateFunctionExpr>>,
    Vec<Option<Arc<dyn PhysicalExpr>>>,
);

impl Lower<'_> {
    fn expr(&self, expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        self.planner
            .create_physical_expr(expr, schema, self.session, self.context)
    }

    fn window(
        &self,
        node: &WindowNode,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let time = self.expr(&node.time, node.input.schema())?;
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(node);
        let schema = Arc::clone(schema.inner());
        Ok(Arc::new(WindowAssignExec::new(
            input,
            time,
            node.window,
            node.assign,
            schema,
        )))
    }

    fn aggregate(
        &self,
        node: &StreamAggregateNode,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pieces = self.pieces(node, &input)?;
        let (input, pieces) = guard_late_rows(node, input, pieces)?;
        let single = node.sets.is_none() && self.is_single_phase(&pieces);
        let (input, phase, pane, keys, aggregates) = if single {
            let keys = pieces
                .keys
                .iter()
                .map(|(expr, _)| Arc::clone(expr))
                .collect();
            let phase = Phase::Single {
                filters: pieces.filters,
            };
            (input, phase, pieces.pane, keys, pieces.aggregates)
        } else {
            two_phase(input, pieces, node.sets.as_ref())?
        };
        let fields = key_fields(&keys, &input.schema())?;
        let spec = AggregateSpec::try_new(fields, aggregates)?;
        let aggregate = StreamAggregate {
            operator: OperatorId::new(node.operator.as_str()),
            window: pane,
            keys,
            spec: Arc::new(spec),
            phase,
            outputs: outputs(node)?,
            schema: columns_of_rows(node.having.as_ref(), &node.schema),
            having: self.having(node.having.as_ref(), &node.schema)?,
            input_time: node.input_time.clone(),
            stage: node.stage,
            ttl: None,
        };
        Ok(Arc::new(StreamAggregateExec::new(input, aggregate)))
    }

    /// What an operator does with the rows that it replaces.
    fn having(&self, having: Option<&Expr>, schema: &DFSchema) -> Result<Option<Having>> {
        let Some(having) = having else {
            return Ok(None);
        };
        let predicate = self.expr(having, schema)?;
        Ok(Some(Having::new(predicate, Arc::clone(schema.inner()))))
    }

    fn pieces(&self, node: &StreamAggregateNode, input: &Arc<dyn ExecutionPlan>) -> Result<Pieces> {
        let schema = node.input.schema();
        let pane = match &node.window {
            Some(group) => Some((group.window, self.expr(&group.pane, schema)?)),
            None => None,
        };
        let keys = node
            .keys
            .iter()
            .enumerate()
            .map(|(i, key)| Ok((self.expr(key, schema)?, format!("key_{i}"))))
            .collect::<Result<Vec<_>>>()?;
        let (aggregates, filters) = self.aggregates(&node.aggregates, &node.input, input)?;
        Ok(Pieces {
            pane,
            keys,
            aggregates,
            filters,
        })
    }

    /// Aggregates over an input, and their FILTERs.
    fn aggregates(
        &self,
        exprs: &[Expr],
        logical: &LogicalPlan,
        input: &Arc<dyn ExecutionPlan>,
    ) -> Result<Aggregates> {
        let physical_schema = input.schema();
        let props: &ExecutionProps = self.session.execution_props();
        let lowered = exprs.iter().map(|aggregate| {
            let lowered = LoweredAggregateBuilder::new(
                aggregate,
                logical.schema(),
                &physical_schema,
                props,
                self.context,
            );
            let lowered = lowered.build()?;
            Ok((lowered.aggregate, lowered.filter))
        });
        lowered.collect()
    }

    /// One pass is enough with one reader, unless an aggregate wants its input sorted, which the
    /// partial aggregation asks of the planner. A global aggregate has one group and one shard: a
    /// partial aggregation would touch it in every epoch, with or without rows.
    fn is_single_phase(&self, pieces: &Pieces) -> bool {
        let wants_order = pieces.aggregates.iter().any(|a| {
            a.order_sensitivity() == AggregateOrderSensitivity::HardRequirement
                && !a.order_bys().is_empty()
        });
        let is_global = pieces.keys.is_empty() && pieces.pane.is_none();
        let one_reader = self.session.config().target_partitions() == 1;
        !wants_order && (is_global || one_reader)
    }
}

/// The columns of the rows of an operator. With a predicate it has one more, behind them.
fn columns_of_rows(having: Option<&Expr>, schema: &DFSchema) -> SchemaRef {
    match having {
        Some(_) => without_ops(schema.inner()),
        None => Arc::clone(schema.inner()),
    }
}

/// Fields of the keys of state rows.
fn key_fields(keys: &[Arc<dyn PhysicalExpr>], input: &Schema) -> Result<Vec<FieldRef>> {
    let field = |(i, key): (usize, &Arc<dyn PhysicalExpr>)| {
        let (data_type, nullable) = (key.data_type(input)?, key.nullable(input)?);
        Ok(Arc::new(Field::new(
            format!("key_{i}"),
            data_type,
            nullable,
        )))
    };
    keys.iter().enumerate().map(field).collect()
}

/// The group columns of a result. The partial aggregation numbers the sets by the pane and the
/// keys, the result by all its columns.
fn outputs(node: &StreamAggregateNode) -> Result<Vec<Output>> {
    let output = |group: &GroupColumn| {
        Ok(match (group, &node.sets) {
            (GroupColumn::Window(WindowRole::Start), _) => Output::WindowStart,
            (GroupColumn::Window(WindowRole::End), _) => Output::WindowEnd,
            (GroupColumn::Window(WindowRole::Time), _) => Output::WindowTime,
            (GroupColumn::Key(index), _) => Output::Key(*index),
            (GroupColumn::GroupingId, Some(sets)) => {
                let kept = grouping_ids(&physical_sets(sets, node.window.is_some()))?;
                let shown = sets.ids.iter().copied();
                Output::GroupingId {
                    key: node.keys.len(),
                    shown: kept.into_iter().zip(shown).collect(),
                }
            }
            (GroupColumn::GroupingId, None) => {
                return internal_err!("a grouping id without grouping sets");
            }
        })
    };
    node.groups.iter().map(output).collect()
}

/// Per set, whether it leaves out the pane, if there is one, and each key.
fn physical_sets(sets: &GroupingSets, has_pane: bool) -> Vec<Vec<bool>> {
    let pane = has_pane.then_some(false);
    let sets = sets.left_out.iter();
    sets.map(|set| pane.into_iter().chain(set.iter().copied()).collect())
        .collect()
}

/// Puts the late-rows filter below a windowed aggregation, on the column that holds the pane.
fn guard_late_rows(
    node: &StreamAggregateNode,
    input: Arc<dyn ExecutionPlan>,
    pieces: Pieces,
) -> Result<(Arc<dyn ExecutionPlan>, Pieces)> {
    let Some((window, pane)) = &pieces.pane else {
        return Ok((input, pieces));
    };
    let column = pane.downcast_ref::<Column>().map(Column::index);
    let column = column.ok_or_else(|| internal_datafusion_err!("pane {pane} is not a column"))?;
    let operator = OperatorId::new(node.operator.as_str());
    let input_time = node.input_time.clone();
    let schema = input.schema();
    let mark = schema.fields().get(column).and_then(|f| window_of(f));
    let mut guard = LateRowsExec::new(input, column, *window, operator, input_time, node.stage);
    if let Some(mark) = mark {
        guard = guard.keeping(LateColumns {
            once_per_window: once_per_window(&mark, *window),
            ..late_columns(&schema, &mark)
        });
    }
    Ok((Arc::new(guard), pieces))
}

type TwoPhase = (
    Arc<dyn ExecutionPlan>,
    Phase,
    Option<(WindowSpec, Arc<dyn PhysicalExpr>)>,
    Vec<Arc<dyn PhysicalExpr>>,
    Vec<Arc<AggregateFunctionExpr>>,
);

/// A DataFusion partial aggregation by (pane, keys) per reader; its state rows go to the shards.
/// With grouping sets it adds every row to each of them, and their grouping id to the keys.
fn two_phase(
    input: Arc<dyn ExecutionPlan>,
    pieces: Pieces,
    sets: Option<&GroupingSets>,
) -> Result<TwoPhase> {
    let schema = input.schema();
    let mut groups = Vec::with_capacity(pieces.keys.len() + 1);
    if let Some((_, pane)) = &pieces.pane {
        groups.push((Arc::clone(pane), "pane".to_string()));
    }
    groups.extend(pieces.keys.iter().cloned());
    // A total comes out of the partial aggregation even over no rows.
    let has_total = pieces.pane.is_none()
        && match sets {
            Some(sets) => sets
                .left_out
                .iter()
                .any(|set| set.iter().all(|left_out| *left_out)),
            None => groups.is_empty(),
        };
    let nothing = match has_total {
        true => {
            let spec = AggregateSpec::try_new(vec![], pieces.aggregates.clone())?;
            // Without it a total is emitted again in every epoch, and is right all the same.
            spec.states_over_nothing(&schema).unwrap_or_default()
        }
        false => vec![],
    };
    let partial = AggregateExec::try_new(
        AggregateMode::Partial,
        group_by(groups, sets, pieces.pane.is_some(), &schema)?,
        pieces.aggregates,
        pieces.filters,
        input,
        schema,
    )?;
    let aggregates = partial.aggr_expr().to_vec();
    let first_key = usize::from(pieces.pane.is_some());
    let id = sets.map(|_| Aggregate::INTERNAL_GROUPING_ID);
    let names = pieces.keys.iter().map(|(_, name)| name.as_str()).chain(id);
    let keys = names
        .enumerate()
        .map(|(i, name)| Arc::new(Column::new(name, first_key + i)) as Arc<dyn PhysicalExpr>)
        .collect();
    let pane = pieces.pane.map(|(window, _)| {
        (
            window,
            Arc::new(Column::new("pane", 0)) as Arc<dyn PhysicalExpr>,
        )
    });
    let phase = Phase::Final { nothing };
    Ok((Arc::new(partial), phase, pane, keys, aggregates))
}

type Named = (Arc<dyn PhysicalExpr>, String);

fn group_by(
    groups: Vec<Named>,
    sets: Option<&GroupingSets>,
    has_pane: bool,
    schema: &SchemaRef,
) -> Result<PhysicalGroupBy> {
    let Some(sets) = sets else {
        return Ok(PhysicalGroupBy::new_single(groups));
    };
    let null = |(expr, name): &Named| {
        let null = ScalarValue::try_from(expr.data_type(schema)?)?;
        Ok((lit(null), name.clone()))
    };
    let nulls = groups.iter().map(null).collect::<Result<_>>()?;
    let sets = physical_sets(sets, has_pane);
    Ok(PhysicalGroupBy::new(groups, nulls, sets, true))
}
