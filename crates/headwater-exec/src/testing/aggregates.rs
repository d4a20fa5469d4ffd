//! Aggregates over the columns `x BIGINT, y DOUBLE, s VARCHAR`, and what they come to when they
//! are computed by hand.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion_physical_expr::expressions::{Column, cast, lit};
use datafusion_physical_expr::{PhysicalExpr, PhysicalSortExpr};

/// One of the aggregates that the tests compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `count(*)`
    Count,
    /// `count(x)`
    CountX,
    /// `sum(x)`
    SumX,
    /// `avg(y)`
    AvgY,
    /// `avg(x)`
    AvgX,
    /// `min(x)`
    MinX,
    /// `max(s)`
    MaxS,
    /// `array_agg(x ORDER BY x DESC)`
    ArrayAggX,
    /// `array_agg(s ORDER BY s DESC)`
    ArrayAggS,
    /// `count(DISTINCT s)`
    CountDistinctS,
    /// `count(*) FILTER (WHERE x > 0)`
    CountPositive,
    /// `sum(y) FILTER (WHERE x > 0)`
    SumYPositive,
}

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::Count,
        Kind::CountX,
        Kind::SumX,
        Kind::AvgY,
        Kind::AvgX,
        Kind::MinX,
        Kind::MaxS,
        Kind::ArrayAggX,
        Kind::ArrayAggS,
        Kind::CountDistinctS,
        Kind::CountPositive,
        Kind::SumYPositive,
    ];

    /// Whether the aggregate has `FILTER (WHERE x > 0)`.
    pub(crate) fn is_filtered(self) -> bool {
        matches!(self, Kind::CountPositive | Kind::SumYPositive)
    }

    /// The aggregate over columns of `schema`.
    pub(crate) fn aggregate(self, schema: &SchemaRef) -> Arc<AggregateFunctionExpr> {
        let one: Arc<dyn PhysicalExpr> = lit(1i64);
        let (function, argument) = match self {
            Kind::Count | Kind::CountPositive => (count_udaf(), one),
            Kind::CountX => (count_udaf(), column(schema, "x")),
            Kind::SumX => (sum_udaf(), column(schema, "x")),
            Kind::AvgY => (avg_udaf(), column(schema, "y")),
            // A coercion that the planner makes: avg is of doubles.
            Kind::AvgX => (
                avg_udaf(),
                cast(column(schema, "x"), schema, DataType::Float64).unwrap(),
            ),
            Kind::MinX => (min_udaf(), column(schema, "x")),
            Kind::MaxS => (max_udaf(), column(schema, "s")),
            Kind::ArrayAggX => (array_agg_udaf(), column(schema, "x")),
            Kind::ArrayAggS => (array_agg_udaf(), column(schema, "s")),
            Kind::CountDistinctS => (count_udaf(), column(schema, "s")),
            Kind::SumYPositive => (sum_udaf(), column(schema, "y")),
        };
        let mut builder = AggregateExprBuilder::new(function, vec![Arc::clone(&argument)])
            .schema(Arc::clone(schema))
            .alias(format!("{self:?}"));
        if matches!(self, Kind::ArrayAggX | Kind::ArrayAggS) {
            let options = SortOptions::new(true, false);
            builder = builder.order_by(vec![PhysicalSortExpr::new(argument, options)]);
        }
        if self == Kind::CountDistinctS {
            builder = builder.distinct();
        }
        Arc::new(builder.build().unwrap())
    }

    /// The aggregate over values, by its definition, as text.
    pub(crate) fn by_hand(self, rows: &[&Values]) -> String {
        let xs = || rows.iter().filter_map(|r| r.x);
        let positive = || rows.iter().filter(|r| r.x.is_some_and(|x| x > 0));
        let mean = |ys: Vec<f64>| ys.iter().sum::<f64>() / ys.len() as f64;
        match self {
            Kind::Count => rows.len().to_string(),
            Kind::CountX => xs().count().to_string(),
            Kind::SumX => text(xs().reduce(|a, b| a + b)),
            Kind::AvgY => {
                let ys: Vec<f64> = rows.iter().filter_map(|r| r.y).collect();
                float((!ys.is_empty()).then(|| mean(ys)))
            }
            Kind::AvgX => {
                let xs: Vec<f64> = xs().map(|x| x as f64).collect();
                float((!xs.is_empty()).then(|| mean(xs)))
            }
            Kind::MinX => text(xs().min()),
            Kind::MaxS => text(rows.iter().filter_map(|r| r.s.as_ref()).max()),
            Kind::ArrayAggX => list(rows.iter().map(|r| r.x).collect()),
            Kind::ArrayAggS => list(rows.iter().map(|r| r.s.clone()).collect()),
            Kind::CountDistinctS => {
                let mut found: Vec<_> = rows.iter().filter_map(|r| r.s.as_ref()).collect();
                found.sort();
                found.dedup();
                found.len().to_string()
            }
            Kind::CountPositive => positive().count().to_string(),
            Kind::SumYPositive => float(positive().filter_map(|r| r.y).reduce(|a, b| a + b)),
        }
    }
}

/// The values of one row that the aggregates are about.
#[derive(Clone, PartialEq)]
pub(crate) struct Values {
    pub(crate) x: Option<i64>,
    /// A multiple of one half, so that sums do not depend on their order.
    pub(crate) y: Option<f64>,
    pub(crate) s: Option<String>,
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "NULL".to_string(), |v| v.to_string())
}

fn float(value: Option<f64>) -> String {
    value.map_or_else(|| "NULL".to_string(), |v| format!("{v:?}"))
}

/// A list in descending order, NULLs last; NULL if there was no row.
fn list<T: ToString + Ord>(mut values: Vec<Option<T>>) -> String {
    if values.is_empty() {
        return "NULL".to_string();
    }
    values.sort_by(|a, b| b.cmp(a));
    let values: Vec<_> = values.into_iter().map(text).collect();
    format!("[{}]", values.join(", "))
}

/// A column of a schema, by name.
pub(crate) fn column(schema: &Schema, name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new_with_schema(name, schema).unwrap())
}

/// The fields of the values.
pub(crate) fn value_fields() -> Vec<Field> {
    vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", DataType::Float64, true),
        Field::new("s", DataType::Utf8View, true),
    ]
}

/// Argument columns and filters of aggregates over a batch.
pub(crate) fn evaluated(
    kinds: &[Kind],
    batch: &RecordBatch,
) -> (Vec<Vec<ArrayRef>>, Vec<Option<BooleanArray>>) {
    let schema = batch.schema();
    let arguments = kinds.iter().map(|kind| {
        let all = kind.aggregate(&schema).all_expressions();
        let all = all.args.iter().chain(&all.order_by_exprs);
        all.map(|e| {
            e.evaluate(batch)
                .unwrap()
                .into_array(batch.num_rows())
                .unwrap()
        })
        .collect()
    });
    let filters = kinds
        .iter()
        .map(|kind| kind.is_filtered().then(|| positive(batch)));
    (arguments.collect(), filters.collect())
}

fn positive(batch: &RecordBatch) -> BooleanArray {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    let x = batch
        .column_by_name("x")
        .unwrap()
        .as_primitive::<Int64Type>();
    x.iter().map(|x| x.map(|x| x > 0)).collect()
}
