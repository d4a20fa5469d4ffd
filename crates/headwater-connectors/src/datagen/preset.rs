//! The preset `orders` as columns.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

use super::rows::RowNumbers;
use super::{DEFAULT_START, cast_batch, take_times};
use crate::event_shape::EventShape;
use crate::orders::{Order, OrdersGenerator, OrdersShape};

/// The columns of orders, or those of them that were declared.
#[derive(Debug)]
pub(super) struct OrdersColumns {
    orders: OrdersGenerator,
    schema: SchemaRef,
    /// For each declared column, its place among the preset's.
    places: Vec<usize>,
}

fn preset_schema() -> Schema {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Schema::new(vec![
        field("time", DataType::Timestamp(TimeUnit::Microsecond, None)),
        field("order_id", DataType::Int64),
        field("client_id", DataType::Int64),
        field("symbol", DataType::Utf8View),
        field("amount", DataType::Int32),
        field("price", DataType::Float64),
        field("buy", DataType::Utf8View),
    ])
}

impl OrdersColumns {
    /// Reads the preset's options; without declared columns there are all seven.
    pub(super) fn take(
        declared: Option<&SchemaRef>,
        seed: u64,
        options: &mut OptionReader,
    ) -> Result<Self> {
        let default = OrdersShape::default();
        let at_least_one = |name: &str, number: u32, options: &OptionReader| match number {
            0 => Err(options.bad_value(name, "0", "a number, at least 1")),
            number => Ok(number),
        };
        let symbols = options.take_parsed("symbols", &[], "a number from 1 to 15625")?;
        let symbols = at_least_one("symbols", symbols.unwrap_or(default.symbols), options)?;
        let clients = options.take_parsed("clients", &[], "a number, at least 1")?;
        let clients = at_least_one("clients", clients.unwrap_or(default.clients), options)?;
        if symbols > 15_625 {
            let text = symbols.to_string();
            return Err(options.bad_value("symbols", &text, "a number from 1 to 15625"));
        }
        let times = EventShape {
            start: DEFAULT_START,
            step: Duration::from_micros(100),
            ..default.times
        };
        let shape = OrdersShape {
            rows: u64::MAX,
            seed,
            symbols,
            clients,
            times: take_times(options, times)?,
            ..default
        };
        let preset = Arc::new(preset_schema());
        let schema = Arc::clone(declared.unwrap_or(&preset));
        Ok(OrdersColumns {
            orders: OrdersGenerator::new(shape),
            places: places(&preset, &schema, options.owner())?,
            schema,
        })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn seed(&self) -> u64 {
        self.orders.shape().seed
    }

    /// The rows with some of the declared columns.
    pub(super) fn batch(&self, rows: RowNumbers, projection: &[usize]) -> Result<RecordBatch> {
        let orders: Vec<Order> = rows.iter().map(|row| self.orders.order(row)).collect();
        let places: Vec<usize> = projection
            .iter()
            .filter_map(|index| self.places.get(*index).copied())
            .collect();
        let all = all_columns(&orders)?.project(&places)?;
        if all.num_columns() == 0 {
            return Ok(all);
        }
        cast_batch(&all, Arc::new(self.schema.project(projection)?))
    }
}

fn places(preset: &Schema, declared: &Schema, owner: &str) -> Result<Vec<usize>> {
    let fields = declared.fields().iter();
    fields
        .map(|field| {
            let place = preset.index_of(field.name()).map_err(|_| {
                let names: Vec<_> = preset.fields().iter().map(|f| f.name().as_str()).collect();
                Error::plan(format!(
                    "column \"{}\" of {owner} is not in the preset \"orders\"",
                    field.name()
                ))
                .with_hint(format!("Its columns are {}.", names.join(", ")))
            })?;
            let given = preset.field(place).data_type();
            if can_cast_types(given, field.data_type()) {
                return Ok(place);
            }
            Err(Error::plan(format!(
                "column \"{}\" of {owner} cannot be a {} in the preset \"orders\"",
                field.name(),
                field.data_type()
            )))
        })
        .collect()
}

fn all_columns(orders: &[Order]) -> Result<RecordBatch> {
    let texts = |of: fn(&Order) -> &[u8]| -> StringViewArray {
        let texts = orders.iter().map(of);
        texts.map(|text| std::str::from_utf8(text).ok()).collect()
    };
    let numbers = |of: fn(&Order) -> i64| -> Int64Array { orders.iter().map(of).collect() };
    let times = orders.iter().map(|o| o.time.0);
    let times = TimestampMicrosecondArray::from_iter_values(times);
    let prices: Float64Array = orders
        .iter()
        .map(|o| o.price_cents as f64 / 100.0)
        .collect();
    let amounts: Int32Array = orders.iter().map(|o| o.amount).collect();
    Ok(RecordBatch::try_new(
        Arc::new(preset_schema()),
        vec![
            Arc::new(times),
            Arc::new(numbers(|o| o.order_id)),
            Arc::new(numbers(|o| o.client_id)),
            Arc::new(texts(|o| &o.symbol)),
            Arc::new(amounts),
            Arc::new(prices),
            Arc::new(texts(|o| std::slice::from_ref(&o.side))),
        ],
    )?)
}
