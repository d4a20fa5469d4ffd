//! Operators that keep rows by key.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    Expr, SortExpr, UserDefinedLogicalNodeCore, WindowFrameUnits, WindowFunctionDefinition,
};
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::create_window_expr;

use headwater_core::id::OperatorId;
use headwater_exec::aggregate_spec::AggregateSpec;
use headwater_exec::keyed::{Growth, KeyedRuns, KeyedRunsExec, Lateness};
use headwater_exec::keyed_runs::RunLogic;
use headwater_exec::over::{Over, OverLogic, OverValue, Reach, Running};
use headwater_exec::rank::{Closes, Emission, Numbering, Rank, RankLogic};
use headwater_exec::session::{Gap, Session, SessionColumn, SessionLogic};
use headwater_exec::session_rows::{SessionRows, SessionRowsLogic};

use super::{Lower, columns_of_rows};
use crate::event_time_field::WindowRole;
use crate::node::aggregate_node::GroupColumn;
use crate::node::keyed_node::key_name;
use crate::node::{Closing, ClosingKind, KeyedLogic, KeyedNode};
use crate::rule::window_calls::literal_micros;

impl Lower<'_> {
    pub(super) fn keyed(
        &self,
        node: &KeyedNode,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let keys = node.keys.iter();
        let keys = keys.map(|key| self.expr(key, node.input.schema()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let key_schema = key_schema(&keys, &input.schema())?;
        let logic: Arc<dyn RunLogic> = match &node.logic {
            KeyedLogic::SessionAggregate {
                time,
                gap,
                aggregates,
                groups,
            } => {
                let (aggregates, filters) = self.aggregates(aggregates, &node.input, &input)?;
                let keys = key_schema.fields().to_vec();
                Arc::new(SessionLogic::new(Session {
                    time: self.expr(time, node.input.schema())?,
                    gap: self.gap(gap, node)?,
                    spec: Arc::new(AggregateSpec::try_new(keys, aggregates)?),
                    filters,
                    outputs: groups.iter().map(session_column).collect::<Result<_>>()?,
                    schema: Arc::clone(node.schema().inner()),
                }))
            }
            KeyedLogic::SessionRows { time, gap } => {
                let rows = SessionRows {
                    time: self.expr(time, node.input.schema())?,
                    gap: self.gap(gap, node)?,
                    schema: Arc::clone(node.schema().inner()),
                };
                Arc::new(SessionRowsLogic::new(rows, &key_schema, input.schema()))
            }
            KeyedLogic::Rank { .. } => {
                Arc::new(RankLogic::new(self.rank(node, &input)?, &key_schema))
            }
            KeyedLogic::Over { .. } => {
                let over = self.over(node, &input, &key_schema)?;
                Arc::new(OverLogic::try_new(over, &key_schema)?)
            }
        };
        let runs = KeyedRuns {
            operator: OperatorId::new(node.operator.as_str()),
            keys,
            logic,
            lateness: self.lateness(node)?,
            schema: Arc::clone(node.schema().inner()),
            input_time: node.input_time.clone(),
            holds_back: node.logic.holds_back(),
            stage: node.stage,
            growth: match node.logic.growth() {
                // One key is one.
                Growth::ByKeys if node.keys.is_empty() => Growth::None,
                growth => growth,
            },
            ttl: None,
        };
        Ok(Arc::new(KeyedRunsExec::new(input, runs)))
    }

    fn over(
        &self,
        node: &KeyedNode,
        input: &Arc<dyn ExecutionPlan>,
        keys: &Schema,
    ) -> Result<Over> {
        let KeyedLogic::Over {
            time,
            order,
            windows,
            reach,
            closes,
        } = &node.logic
        else {
            return internal_err!("{} has no OVER", node.operator);
        };
        let schema = node.input.schema();
        let each = windows.iter().zip(reach);
        let values = each.map(|(window, reach)| self.over_value(window, *reach, node));
        Ok(Over {
            time: self.expr(time, schema)?,
            order: self.order(order, schema)?,
            values: values.collect::<Result<_>>()?,
            closes: match closes {
                Some(closing) => {
                    let keys = DFSchema::try_from(keys.clone())?;
                    Some(self.closes(closing, &keys)?)
                }
                None => None,
            },
            input: input.schema(),
            schema: Arc::clone(node.schema().inner()),
        })
    }

    fn over_value(
        &self,
        window: &Expr,
        reach: Option<Reach>,
        node: &KeyedNode,
    ) -> Result<OverValue> {
        let schema = node.input.schema();
        if let Some(reach) = reach {
            let props = self.session.execution_props();
            let window = create_window_expr(window, schema, props, self.context)?;
            return Ok(OverValue::Reaching(window, reach));
        }
        let name = window.schema_name().to_string();
        let Expr::WindowFunction(call) = window.clone().unalias() else {
            return internal_err!("{window} is no window function");
        };
        let arguments = call.params.args.iter().map(|a| self.expr(a, schema));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let running = match (&call.fun, call.fun.name()) {
            (WindowFunctionDefinition::AggregateUDF(function), _) => {
                let builder = AggregateExprBuilder::new(Arc::clone(function), arguments)
                    .schema(Arc::clone(schema.inner()))
                    .alias(name.as_str());
                let builder = match call.params.distinct {
                    true => builder.distinct(),
                    false => builder,
                };
                let filter = call.params.filter.as_ref();
                Running::Aggregate {
                    function: Arc::new(builder.build()?),
                    filter: filter.map(|f| self.expr(f, schema)).transpose()?,
                    by_row: call.params.window_frame.units == WindowFrameUnits::Rows,
                }
            }
            (_, "row_number") => Running::Number(Numbering::RowNumber),
            (_, "rank") => Running::Number(Numbering::Rank),
            (_, "dense_rank") => Running::Number(Numbering::DenseRank),
            _ => match arguments.into_iter().next() {
                Some(value) => Running::First(value),
                None => return internal_err!("{window} has no argument"),
            },
        };
        Ok(OverValue::Running(running, name))
    }

    fn rank(&self, node: &KeyedNode, input: &Arc<dyn ExecutionPlan>) -> Result<Rank> {
        let KeyedLogic::Rank {
            order,
            limit,
            numbering,
            by_time,
            closes,
        } = &node.logic
        else {
            return internal_err!("{} is no ranking", node.operator);
        };
        let logical = node.input.schema();
        Ok(Rank {
            order: self.order(order, logical)?,
            limit: *limit,
            numbering: *numbering,
            emission: match by_time {
                Some(time) => Emission::ByTime(self.expr(time, logical)?),
                None if order.is_empty() => Emission::AtOnce,
                None => Emission::AtClose,
            },
            closes: match closes {
                Some(closing) => Some(self.closes(closing, logical)?),
                None => None,
            },
            input: input.schema(),
            schema: columns_of_rows(node.having.as_ref(), node.schema()),
            having: self.having(node.having.as_ref(), node.schema())?,
        })
    }

    fn closes(&self, closing: &Closing, schema: &DFSchema) -> Result<Closes> {
        Ok(Closes {
            at: self.expr(&closing.at, schema)?,
            past_us: match closing.kind {
                ClosingKind::WindowEnd => 0,
                ClosingKind::EventTime => 1,
                ClosingKind::Remembered(us) => us.saturating_add(1),
            },
        })
    }

    fn order(&self, order: &[SortExpr], schema: &DFSchema) -> Result<Vec<PhysicalSortExpr>> {
        let sort = |sort: &SortExpr| {
            Ok(PhysicalSortExpr {
                expr: self.expr(&sort.expr, schema)?,
                options: SortOptions {
                    descending: !sort.asc,
                    nulls_first: sort.nulls_first,
                },
            })
        };
        order.iter().map(sort).collect()
    }

    fn lateness(&self, node: &KeyedNode) -> Result<Lateness> {
        let schema = node.input.schema();
        Ok(match &node.logic {
            KeyedLogic::SessionAggregate { .. } | KeyedLogic::SessionRows { .. } => {
                Lateness::OfLogic
            }
            KeyedLogic::Over { time, .. }
            | KeyedLogic::Rank {
                by_time: Some(time),
                ..
            } => Lateness::EventTime(self.expr(time, schema)?),
            KeyedLogic::Rank {
                closes: Some(closing),
                ..
            } => match closing.kind {
                ClosingKind::WindowEnd => Lateness::WindowEnd(self.expr(&closing.at, schema)?),
                ClosingKind::EventTime | ClosingKind::Remembered(_) => {
                    Lateness::EventTime(self.expr(&closing.at, schema)?)
                }
            },
            KeyedLogic::Rank { .. } => Lateness::Never,
        })
    }

    fn gap(&self, gap: &Expr, node: &KeyedNode) -> Result<Gap> {
        match gap {
            Expr::Literal(ScalarValue::IntervalMonthDayNano(_), _) => {
                Ok(Gap::Fixed(literal_micros(gap)?))
            }
            gap => Ok(Gap::OfRow(self.expr(gap, node.input.schema())?)),
        }
    }
}

fn key_schema(keys: &[Arc<dyn PhysicalExpr>], input: &Schema) -> Result<Schema> {
    let fields = keys.iter().enumerate().map(|(i, key)| {
        let data_type = key.data_type(input)?;
        Ok(Field::new(key_name(i), data_type, true))
    });
    Ok(Schema::new(fields.collect::<Result<Vec<_>>>()?))
}

fn session_column(group: &GroupColumn) -> Result<SessionColumn> {
    Ok(match group {
        GroupColumn::Window(WindowRole::Start) => SessionColumn::Start,
        GroupColumn::Window(WindowRole::End) => SessionColumn::End,
        GroupColumn::Window(WindowRole::Time) => SessionColumn::Time,
        GroupColumn::Key(index) => SessionColumn::Key(*index),
        GroupColumn::GroupingId => return internal_err!("grouping sets of sessions are not kept"),
    })
}
