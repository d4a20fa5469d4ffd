//! Plans over the scripted source `t TIMESTAMP, k VARCHAR, x BIGINT`.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::ExecutionPlan;

use headwater_core::format::BadDataPolicy;
use headwater_core::id::{OperatorId, SourceIndex};
use headwater_core::read_bounds::ReadBounds;

use super::aggregates::{Kind, column};
use super::scripted_source::ScriptedSource;
use crate::aggregate::{Output, Phase, StreamAggregate, StreamAggregateExec};
use crate::aggregate_spec::AggregateSpec;
use crate::changelog::Stage;
use crate::epoch_scan::{EpochScanExec, EventTimeColumn, ReadUntil, ScanSpec};
use crate::late_rows::{LateColumns, LateRowsExec};
use crate::watermark::InputTime;
use crate::window::WindowSpec;
use crate::window_assign::{Assign, WindowAssignExec, window_time_type};

/// A row of the scripted source.
pub(crate) type SourceRow<'a> = (Option<i64>, Option<&'a str>, Option<i64>);

/// Columns of the scripted source.
pub(crate) fn source_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("t", window_time_type(), true),
        Field::new("k", DataType::Utf8View, true),
        Field::new("x", DataType::Int64, true),
    ]))
}

/// A source with the given rows in its partitions.
pub(crate) fn source(partitions: &[&[SourceRow<'_>]]) -> ScriptedSource {
    let batch = |rows: &&[SourceRow<'_>]| {
        let times: TimestampMicrosecondArray = rows.iter().map(|r| r.0).collect();
        let keys: StringViewArray = rows.iter().map(|r| r.1).collect();
        let xs: Int64Array = rows.iter().map(|r| r.2).collect();
        let columns = vec![Arc::new(times) as _, Arc::new(keys) as _, Arc::new(xs) as _];
        RecordBatch::try_new(source_schema(), columns).unwrap()
    };
    ScriptedSource::new(partitions.iter().map(batch).collect())
}

/// A row of which time and key are there.
pub(crate) fn at(time: i64, key: &str) -> SourceRow<'_> {
    (Some(time), Some(key), Some(1))
}

/// A scan of all columns as they are.
pub(crate) fn scan(readers: usize, bad_data: BadDataPolicy) -> Arc<dyn ExecutionPlan> {
    let schema = source_schema();
    let names = ["t", "k", "x"];
    let spec = ScanSpec {
        source: SourceIndex(0),
        name: "scripted".into(),
        projection: vec![0, 1, 2],
        columns: names.iter().map(|name| column(&schema, name)).collect(),
        event_time: Some(EventTimeColumn {
            expr: column(&schema, "t"),
            name: "t".into(),
        }),
        bad_data,
        bounds: ReadBounds::default(),
        until: ReadUntil::End,
        schema,
    };
    Arc::new(EpochScanExec::new(spec, readers))
}

/// A window by slide and size.
pub(crate) fn hop(slide: u64, size: u64) -> WindowSpec {
    let us = Duration::from_micros;
    WindowSpec::hop(us(slide), us(size), 0).unwrap()
}

/// Window columns behind those of the input, whose event time is `t`.
pub(crate) fn assign(
    input: Arc<dyn ExecutionPlan>,
    window: WindowSpec,
    assign: Assign,
) -> Arc<dyn ExecutionPlan> {
    let time = column(&input.schema(), "t");
    let schema = Arc::new(WindowAssignExec::schema_over(&input.schema()));
    Arc::new(WindowAssignExec::new(input, time, window, assign, schema))
}

/// The late-rows filter on `window_start`.
pub(crate) fn guard(input: Arc<dyn ExecutionPlan>, window: WindowSpec) -> Arc<dyn ExecutionPlan> {
    Arc::new(late_rows(input, window))
}

/// The same, with what is kept of late rows.
pub(crate) fn guard_keeping(
    input: Arc<dyn ExecutionPlan>,
    window: WindowSpec,
    columns: LateColumns,
) -> Arc<dyn ExecutionPlan> {
    Arc::new(late_rows(input, window).keeping(columns))
}

fn late_rows(input: Arc<dyn ExecutionPlan>, window: WindowSpec) -> LateRowsExec {
    let pane = input.schema().index_of("window_start").unwrap();
    LateRowsExec::new(input, pane, window, operator(), input_time(), Stage::Last)
}

/// The watermark of the one source.
pub(crate) fn input_time() -> InputTime {
    InputTime {
        sources: vec![SourceIndex(0)],
        behind_us: 0,
    }
}

/// The stateful operator.
pub(crate) fn operator() -> OperatorId {
    OperatorId::new("1-aggregate")
}

/// A single-phase aggregation by columns.
pub(crate) fn aggregate(
    input: Arc<dyn ExecutionPlan>,
    window: Option<WindowSpec>,
    keys: &[&str],
    kinds: &[Kind],
) -> Arc<dyn ExecutionPlan> {
    let schema = input.schema();
    let key_fields: Vec<_> = keys
        .iter()
        .map(|k| Arc::new(schema.field_with_name(k).unwrap().clone()))
        .collect();
    let aggregates: Vec<_> = kinds.iter().map(|k| k.aggregate(&schema)).collect();
    let mut fields = Vec::new();
    let mut outputs = Vec::new();
    if window.is_some() {
        fields.push(Arc::new(Field::new(
            "window_start",
            window_time_type(),
            false,
        )));
        fields.push(Arc::new(Field::new(
            "window_end",
            window_time_type(),
            false,
        )));
        outputs.extend([Output::WindowStart, Output::WindowEnd]);
    }
    fields.extend(key_fields.iter().cloned());
    outputs.extend((0..keys.len()).map(Output::Key));
    fields.extend(aggregates.iter().map(|a| a.field()));
    let positive = || {
        use datafusion_expr::Operator;
        use datafusion_physical_expr::expressions::{binary, lit};
        binary(column(&schema, "x"), Operator::Gt, lit(0i64), &schema).unwrap()
    };
    let filter = |kind: &Kind| kind.is_filtered().then(positive);
    let pane = |window| (window, column(&schema, "window_start"));
    let keys: Vec<Arc<dyn PhysicalExpr>> = keys.iter().map(|k| column(&schema, k)).collect();
    let aggregate = StreamAggregate {
        operator: operator(),
        window: window.map(pane),
        keys,
        spec: Arc::new(AggregateSpec::try_new(key_fields, aggregates).unwrap()),
        phase: Phase::Single {
            filters: kinds.iter().map(filter).collect(),
        },
        outputs,
        schema: Arc::new(Schema::new(fields)),
        having: None,
        input_time: input_time(),
        stage: Stage::Last,
        ttl: None,
    };
    Arc::new(StreamAggregateExec::new(input, aggregate))
}

/// `SELECT window_start, window_end, k, …` over panes of a window, behind the late-rows filter.
pub(crate) fn windowed(window: WindowSpec, kinds: &[Kind]) -> Arc<dyn ExecutionPlan> {
    let panes = assign(scan(1, BadDataPolicy::Fail), window, Assign::Panes);
    aggregate(guard(panes, window), Some(window), &["k"], kinds)
}
