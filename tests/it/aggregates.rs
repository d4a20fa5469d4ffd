//! Every aggregate function of the session, in a stream and in a bounded read.
//!
//! The functions are those that every session is made with, so that one that a new DataFusion brings
//! cannot be forgotten: it needs calls in [`CALLS`] or a reason in [`LEFT_OUT`]. Every call runs
//! without a window and with one, on one shard and on three, with a restart between epochs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};
use headwater_testkit::oracle::check_oracle;
use headwater_testkit::{RunMode, TestSession};

/// Calls of every function. Values that depend on the order of rows are ordered: readers run side
/// by side.
const CALLS: &[(&str, &[&str])] = &[
    (
        "any_value",
        &["any_value(7)", "any_value(v) FILTER (WHERE v = 3)"],
    ),
    (
        "approx_distinct",
        &["approx_distinct(v)", "approx_distinct(s) FILTER (WHERE b)"],
    ),
    (
        "approx_median",
        &["approx_median(v)", "approx_median(x) FILTER (WHERE b)"],
    ),
    (
        "approx_percentile_cont",
        &[
            "approx_percentile_cont(0.75) WITHIN GROUP (ORDER BY x)",
            "approx_percentile_cont(0.25) WITHIN GROUP (ORDER BY v DESC)",
        ],
    ),
    (
        "approx_percentile_cont_with_weight",
        &["approx_percentile_cont_with_weight(1, 0.5) WITHIN GROUP (ORDER BY x)"],
    ),
    (
        "array_agg",
        &[
            "array_sort(array_agg(v))",
            "array_agg(v ORDER BY n DESC)",
            "array_agg(s ORDER BY s, n) FILTER (WHERE b)",
            "array_agg(DISTINCT v ORDER BY v)",
        ],
    ),
    (
        "avg",
        &[
            "avg(v)",
            "avg(x)",
            "avg(d)",
            "avg(DISTINCT x)",
            "avg(x) FILTER (WHERE v > 9)",
        ],
    ),
    ("bit_and", &["bit_and(v)", "bit_and(n) FILTER (WHERE b)"]),
    ("bit_or", &["bit_or(v)", "bit_or(n) FILTER (WHERE b)"]),
    ("bit_xor", &["bit_xor(v)", "bit_xor(n) FILTER (WHERE b)"]),
    (
        "bool_and",
        &["bool_and(b)", "bool_and(v > 0) FILTER (WHERE b)"],
    ),
    ("bool_or", &["bool_or(b)", "bool_or(v > 4)"]),
    ("corr", &["corr(v, x)", "corr(x, n) FILTER (WHERE b)"]),
    (
        "count",
        &[
            "count(*)",
            "count(v)",
            "count(v, s)",
            "count(DISTINCT v)",
            "count(DISTINCT s)",
            "count(DISTINCT v) FILTER (WHERE b)",
            "count(DISTINCT v, s)",
            "count(DISTINCT v, s, x) FILTER (WHERE b)",
            "count(*) FILTER (WHERE s IS NULL)",
        ],
    ),
    ("covar_pop", &["covar_pop(v, x)"]),
    (
        "covar_samp",
        &["covar_samp(v, x)", "covar_samp(v, x) FILTER (WHERE b)"],
    ),
    (
        "first_value",
        &[
            "first_value(v ORDER BY n)",
            "first_value(s ORDER BY n DESC)",
            "first_value(v ORDER BY n) FILTER (WHERE b)",
            "first_value(x IGNORE NULLS ORDER BY n)",
        ],
    ),
    (
        "last_value",
        &[
            "last_value(v ORDER BY n)",
            "last_value(s ORDER BY x, n)",
            "last_value(v ORDER BY n) FILTER (WHERE b)",
        ],
    ),
    (
        "max",
        &[
            "max(v)",
            "max(x)",
            "max(s)",
            "max(ts)",
            "max(d)",
            "max(b)",
            "max(DISTINCT v)",
        ],
    ),
    (
        "median",
        &[
            "median(v)",
            "median(x)",
            "median(DISTINCT v)",
            "median(x) FILTER (WHERE b)",
        ],
    ),
    (
        "min",
        &[
            "min(v)",
            "min(x)",
            "min(s)",
            "min(ts)",
            "min(d)",
            "min(b)",
            "min(v) FILTER (WHERE b)",
        ],
    ),
    // One order a query: several are refused, in a bounded read too.
    (
        "nth_value",
        &[
            "nth_value(v, 2 ORDER BY n)",
            "nth_value(s, 3 ORDER BY n) FILTER (WHERE b)",
        ],
    ),
    ("nth_value", &["nth_value(s, 1 ORDER BY x DESC, n)"]),
    (
        "percentile_cont",
        &[
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY x)",
            "percentile_cont(0.9) WITHIN GROUP (ORDER BY v)",
        ],
    ),
    ("regr_avgx", &["regr_avgx(x, v)"]),
    ("regr_avgy", &["regr_avgy(x, v)"]),
    ("regr_count", &["regr_count(x, v)"]),
    ("regr_intercept", &["regr_intercept(x, v)"]),
    ("regr_r2", &["regr_r2(x, v)"]),
    ("regr_slope", &["regr_slope(x, v)"]),
    ("regr_sxx", &["regr_sxx(x, v)"]),
    ("regr_sxy", &["regr_sxy(x, v)"]),
    ("regr_syy", &["regr_syy(x, v)"]),
    ("stddev", &["stddev(v)", "stddev(x) FILTER (WHERE b)"]),
    ("stddev_pop", &["stddev_pop(v)", "stddev_pop(x)"]),
    (
        "string_agg",
        &[
            "string_agg(s, ',' ORDER BY s)",
            "string_agg(DISTINCT s, ',' ORDER BY s)",
        ],
    ),
    (
        "string_agg",
        &["string_agg(s, '+' ORDER BY n DESC) FILTER (WHERE b)"],
    ),
    (
        "sum",
        &[
            "sum(v)",
            "sum(x)",
            "sum(d)",
            "sum(DISTINCT v)",
            "sum(v) FILTER (WHERE b)",
        ],
    ),
    ("var", &["var(v)", "var(x) FILTER (WHERE b)"]),
    ("var_pop", &["var_pop(v)", "var_pop(x)"]),
    // The program's own.
    (
        "product",
        &["product(n)", "product(v)", "product(v) FILTER (WHERE b)"],
    ),
];

/// Functions without calls, and why.
const LEFT_OUT: &[(&str, &str)] = &[(
    "grouping",
    "it is no aggregate: it says of which grouping set a row is; see sql/slt/grouping",
)];

/// Several aggregates in one query, of which some want distinct values and some an order.
const TOGETHER: &[&str] = &[
    "count(DISTINCT v)",
    "count(DISTINCT s)",
    "count(DISTINCT s, v)",
    "sum(DISTINCT v)",
    "count(*)",
    "array_sort(array_agg(DISTINCT s))",
    "string_agg(s, ',' ORDER BY n)",
    "first_value(x ORDER BY n DESC)",
    "last_value(x ORDER BY ts, n)",
    "avg(x) FILTER (WHERE v > 1)",
];

/// The product of integers, over rows whose product is small.
#[derive(Debug)]
struct Product(Option<i64>);

impl Product {
    fn take(&mut self, values: &[ArrayRef]) {
        let Some(values) = values[0].as_any().downcast_ref::<Int64Array>() else {
            panic!("product() of {}", values[0].data_type());
        };
        for value in values.iter().flatten() {
            self.0 = Some(self.0.unwrap_or(1).wrapping_mul(value));
        }
    }
}

impl Accumulator for Product {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.take(values);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.take(states);
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::Int64(self.0))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(self.0)])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

fn product() -> AggregateUDF {
    create_udaf(
        "product",
        vec![DataType::Int64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Product(None)))),
        Arc::new(vec![DataType::Int64]),
    )
}

const EPOCHS: &[&str] = &[
    "('a', 1, 3, 1.5, 1.10, 'x', true, '12:00:01'), ('a', 2, 5, -2.5, 2.20, 'y', false, '12:00:02'),
     ('b', 3, NULL, NULL, NULL, NULL, NULL, '12:00:03'), ('a', 4, 3, 0.25, 3.30, 'x', true, '12:00:04')",
    "('b', 5, NULL, NULL, NULL, NULL, NULL, '12:00:05'), ('c', 6, 7, 4.5, 1.10, 'z', true, '12:00:06'),
     (NULL, 7, -4, 9.75, 5.50, 'w', false, '12:00:07')",
    "('a', 8, NULL, 7.5, 0.00, NULL, NULL, '12:00:09'), ('b', 9, 2, 6.5, 6.60, 'v', true, '12:00:12'),
     ('c', 10, 7, -1.5, 7.70, 'y', false, '12:00:13')",
    "('a', 11, 5, 2.0, -8.80, 'u', true, '12:00:15'), ('b', 12, 2, 3.0, 9.90, 'v', false, '12:00:21')",
];

/// Runs a SELECT of the calls as streams, with restarts between epochs, and compares each with
/// its bounded read.
async fn check(calls: &[&str], shards: usize) -> headwater::Result<()> {
    let mut session = TestSession::try_new(RunMode::Straight, shards)?;
    session.headwater().register_udaf(product());
    session
        .run(
            "CREATE SOURCE t (k VARCHAR, n BIGINT, v BIGINT, x DOUBLE, d DECIMAL(10, 2), s VARCHAR,
               b BOOLEAN, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '20 seconds')
             WITH (connector = 'memory', partitions = 3)",
        )
        .await?;
    let columns = calls.iter().enumerate();
    let columns: Vec<_> = columns.map(|(i, call)| format!("{call} AS c{i}")).collect();
    let columns = columns.join(", ");
    let queries = [
        (
            "running",
            format!("SELECT k, {columns} FROM t GROUP BY k EMIT ON UPDATE"),
        ),
        ("whole", format!("SELECT {columns} FROM t EMIT COMPLETE")),
        (
            "windows",
            format!(
                "SELECT window_start, k, {columns} FROM hop(t, ts, '5 seconds', '10 seconds')
                 GROUP BY window_start, window_end, k EMIT ON WINDOW CLOSE"
            ),
        ),
        (
            "changes",
            format!(
                "SELECT window_start, {columns} FROM hop(t, ts, '5 seconds', '10 seconds')
                 GROUP BY window_start, window_end EMIT ON UPDATE"
            ),
        ),
        (
            "sessions",
            format!(
                "SELECT window_start, k, {columns}
                 FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3 seconds')
                 GROUP BY window_start, window_end, k HAVING count(*) > 0 EMIT ON WINDOW CLOSE"
            ),
        ),
    ];
    for (name, select) in &queries {
        session
            .run(&format!(
                "CREATE SINK to_{name} WITH (connector = 'memory')"
            ))
            .await?;
        let create = format!("CREATE STREAMING QUERY {name} AS INSERT INTO to_{name} {select}");
        session.run(&create).await?;
    }
    for (number, rows) in EPOCHS.iter().enumerate() {
        session
            .run(&format!("FEED t VALUES {rows} PARTITION {}", number % 3))
            .await?;
        for (name, _) in &queries {
            session.run_to_end(name).await?;
            if number % 2 == 0 {
                session.restart(name).await?;
            }
        }
    }
    check_oracle(&mut session).await
}

/// The aggregate functions of a session, which has all of DataFusion's, and the program's own.
fn functions() -> BTreeSet<String> {
    let functions = SessionStateDefaults::default_aggregate_functions();
    let names = functions.iter().map(|f| f.name().to_string());
    names.chain(["product".to_string()]).collect()
}

#[test]
fn every_aggregate_has_calls() {
    let known: BTreeMap<_, _> = CALLS.iter().map(|(name, _)| (*name, ())).collect();
    let left_out: BTreeMap<_, _> = LEFT_OUT.iter().copied().collect();
    let functions = functions();
    let forgotten: Vec<_> = functions
        .iter()
        .filter(|f| !known.contains_key(f.as_str()) && !left_out.contains_key(f.as_str()))
        .collect();
    assert!(forgotten.is_empty(), "without calls: {forgotten:?}");
    let gone: Vec<_> = known.keys().filter(|f| !functions.contains(**f)).collect();
    assert!(gone.is_empty(), "calls of no function: {gone:?}");
}

/// Calls that run in one query: of several functions, unless they want their rows in an order.
fn queries() -> Vec<Vec<&'static str>> {
    let mut queries: Vec<Vec<&str>> = vec![vec![]];
    for (name, calls) in CALLS {
        if ["nth_value", "string_agg"].contains(name) {
            queries.insert(0, calls.to_vec());
            continue;
        }
        match queries.last_mut() {
            Some(last) if last.len() < 10 => last.extend(*calls),
            _ => queries.push(calls.to_vec()),
        }
    }
    queries.push(TOGETHER.to_vec());
    queries
}

#[tokio::test]
async fn every_aggregate_is_its_batch() {
    let mut failures = Vec::new();
    for calls in queries() {
        for shards in [1, 3] {
            if let Err(error) = check(&calls, shards).await {
                let error = error.report("", None);
                failures.push(format!("{calls:?} on {shards} shards: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
