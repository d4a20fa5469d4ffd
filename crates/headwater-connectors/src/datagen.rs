//! The `datagen` connector: rows made from a seed.
//!
//! Output: the declared columns, or those of a preset.
//! Time: the first TIMESTAMP column is the event time; it advances by `time.step` a row, out of
//! order and late as asked.
//! Replay: row `i` is a function of the seed and `i`; offset `k` of partition `p` of `n` is row
//! `k · n + p`.
//! Source: Flink's `DataGen` connector for the names of the column options.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use headwater_core::connector::{Connector, DeclaredSource, SourceDefinition};
use headwater_core::event_time::EventTime;
use headwater_core::options::OptionReader;
use headwater_core::source::EpochLimits;
use headwater_core::{Error, Result};

use crate::event_shape::EventShape;
use crate::options::take_max_records;

mod broken;
mod column;
mod preset;
mod rows;
mod source;

use broken::BrokenRows;
use column::ColumnGenerator;
use preset::OrdersColumns;
use rows::RowMaker;
use source::{DeclaredGenerator, Plan};

/// 2026-01-01T00:00:00Z.
const DEFAULT_START: EventTime = EventTime(1_767_225_600_000_000);

/// The connector `datagen`.
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `rows` | rows in all | endless |
/// | `rows.per.second` | pace by the wall clock | as fast as asked |
/// | `seed` | seed of all randomness | 42 |
/// | `partitions` | partitions that rows are dealt to in turn | 1 |
/// | `max.records.per.epoch` | records one epoch reads | 100,000 |
/// | `start.time` | event time of the first row | 2026-01-01T00:00:00Z |
/// | `time.step` | event time between rows | 1 ms; 0.1 ms for `orders` |
/// | `disorder` | random age of a row, at most | 0; 2 s for `orders` |
/// | `late.fraction`, `late.by` | share of rows that are older still, and by how much | 0 |
/// | `bad.fraction` | share of records that are broken, in the declared format | 0 |
/// | `preset` | `orders`: columns and values of [`crate::orders`], with `symbols`, `clients` | |
/// | `fields.<column>.kind` | `random` or `sequence` | `random` |
/// | `fields.<column>.min`, `.max`, `.length`, `.values` | what the values are, by type | |
#[derive(Debug, Default)]
pub struct DatagenConnector;

impl Connector for DatagenConnector {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        crate::record_rows::check_metadata(&definition.metadata, &[], options.owner())?;
        let shape = shape_options(options);
        let plan = take_plan(options)?;
        let limits = EpochLimits {
            max_records: take_max_records(options)?,
        };
        let bad_fraction = take_fraction(options, "bad.fraction")?;
        let preset = options.take_choice("preset", &[], &[("orders", ())])?;
        let maker = match preset {
            Some(()) => {
                let columns = definition.payload.as_ref();
                RowMaker::Orders(OrdersColumns::take(columns, plan.seed, options)?)
            }
            None => take_columns(definition.payload.as_ref(), plan.seed, options)?,
        };
        let maker = Arc::new(maker);
        let broken = BrokenRows::take(definition, &maker, bad_fraction, options)?;
        Ok(Arc::new(DeclaredGenerator {
            plan,
            limits,
            maker,
            broken: broken.map(Arc::new),
            owner: options.owner().to_string(),
            shape,
        }))
    }
}

/// The options that say what the rows are, and not how many or how fast, as one text.
fn shape_options(options: &OptionReader) -> String {
    const FREE: [&str; 4] = [
        "rows",
        "number.of.rows",
        "rows.per.second",
        "max.records.per.epoch",
    ];
    let shape = options.left().filter(|(key, _)| !FREE.contains(key));
    let shape: Vec<String> = shape
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    match shape.as_slice() {
        [] => "the defaults".to_string(),
        _ => shape.join(", "),
    }
}

fn take_plan(options: &mut OptionReader) -> Result<Plan> {
    let rows = options.take_parsed("rows", &["number.of.rows"], "a number of rows")?;
    let rows_per_second =
        options.take_parsed::<f64>("rows.per.second", &[], "a number of rows above 0")?;
    if let Some(rate) = rows_per_second
        && !(rate.is_finite() && rate > 0.0)
    {
        let text = rate.to_string();
        return Err(options.bad_value("rows.per.second", &text, "a number of rows above 0"));
    }
    let seed = options.take_parsed("seed", &[], "a whole number")?;
    let partitions = options.take_parsed::<u16>("partitions", &[], "a number from 1 to 1000")?;
    let partitions = partitions.unwrap_or(1);
    if partitions == 0 || partitions > 1000 {
        let text = partitions.to_string();
        return Err(options.bad_value("partitions", &text, "a number from 1 to 1000"));
    }
    Ok(Plan {
        rows,
        rows_per_second,
        seed: seed.unwrap_or(42),
        partitions: u64::from(partitions),
    })
}

/// Reads a share from 0 to 1.
fn take_fraction(options: &mut OptionReader, name: &str) -> Result<f64> {
    const EXPECTED: &str = "a share from 0 to 1";
    match options.take_parsed::<f64>(name, &[], EXPECTED)? {
        Some(fraction) if !(0.0..=1.0).contains(&fraction) => {
            Err(options.bad_value(name, &fraction.to_string(), EXPECTED))
        }
        fraction => Ok(fraction.unwrap_or(0.0)),
    }
}

/// Reads the event-time options over the defaults of a preset.
fn take_times(options: &mut OptionReader, default: EventShape) -> Result<EventShape> {
    let start = match options.take("start.time", &[])? {
        None => default.start,
        Some(text) => {
            let nanos = arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text.trim());
            let nanos = nanos.map_err(|_| {
                options.bad_value("start.time", &text, "a time such as '2026-01-01T00:00:00Z'")
            })?;
            EventTime(nanos.div_euclid(1000))
        }
    };
    let late_by = options.take_duration("late.by", &[])?;
    let late_fraction = take_fraction(options, "late.fraction")?;
    if late_fraction > 0.0 && late_by.is_none() {
        return Err(Error::configuration(format!(
            "{} has late rows without the option \"late.by\"",
            options.owner()
        ))
        .with_hint("Say by how much they are late: 'late.by' = '1 minute'."));
    }
    Ok(EventShape {
        start,
        step: options
            .take_duration("time.step", &[])?
            .unwrap_or(default.step),
        disorder: options
            .take_duration("disorder", &[])?
            .unwrap_or(default.disorder),
        late_fraction,
        late_by: late_by.unwrap_or(default.late_by),
    })
}

fn take_columns(
    schema: Option<&SchemaRef>,
    seed: u64,
    options: &mut OptionReader,
) -> Result<RowMaker> {
    let schema = schema.ok_or_else(|| {
        Error::plan(format!("{} declares no columns", options.owner()))
            .with_hint("List the columns to generate, or set 'preset' = 'orders'.")
    })?;
    let times = take_times(
        options,
        EventShape {
            start: DEFAULT_START,
            step: Duration::from_millis(1),
            disorder: Duration::ZERO,
            late_fraction: 0.0,
            late_by: Duration::ZERO,
        },
    )?;
    let event_time = schema
        .fields()
        .iter()
        .position(|field| column::is_timestamp(field));
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            ColumnGenerator::take(field, index, event_time == Some(index), options)
        })
        .collect::<Result<_>>()?;
    Ok(RowMaker::Columns {
        schema: Arc::clone(schema),
        columns,
        times,
        seed,
    })
}

/// Casts the columns of a batch to those of a schema, which has the same number of them.
fn cast_batch(batch: &RecordBatch, schema: SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()))
        .collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

#[cfg(test)]
mod tests;
