//! One value as Spark's `show` writes it: `null`, times without zone and trailing zeros, bytes in
//! hex, `[1, 2]`, `{a, b}`, `{k -> v}`.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, TimeUnit};
use arrow::temporal_conversions::{
    timestamp_ms_to_datetime, timestamp_ns_to_datetime, timestamp_s_to_datetime,
    timestamp_us_to_datetime,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use headwater_core::Result;

/// Whether the text of a value may be cut: that of strings, bytes and nested values. The end of a
/// number or of a time says as much as its beginning.
pub(super) fn may_be_cut(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => true,
        DataType::Dictionary(_, values) => may_be_cut(values),
        other => other.is_nested(),
    }
}

/// The text of a value.
pub(super) fn text(array: &dyn Array, row: usize) -> Result<String> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok("null".to_string());
    }
    Ok(match array.data_type() {
        DataType::Timestamp(unit, _) => timestamp(array, *unit, row)?,
        DataType::Float32 => format!("{:?}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => hex(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(array.as_fixed_size_binary().value(row)),
        DataType::List(_) => elements(array.as_list::<i32>().value(row).as_ref())?,
        DataType::LargeList(_) => elements(array.as_list::<i64>().value(row).as_ref())?,
        DataType::FixedSizeList(..) => elements(array.as_fixed_size_list().value(row).as_ref())?,
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            let values: Result<Vec<_>> = columns.map(|c| text(c.as_ref(), row)).collect();
            format!("{{{}}}", values?.join(", "))
        }
        DataType::Map(..) => entries(array, row)?,
        _ => plain(array, row)?,
    })
}

fn plain(array: &dyn Array, row: usize) -> Result<String> {
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    Ok(formatter.value(row).try_to_string()?)
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|b| format!("{b:02X}")).collect();
    format!("[{}]", bytes.join(" "))
}

fn elements(values: &dyn Array) -> Result<String> {
    let values: Result<Vec<_>> = (0..values.len()).map(|i| text(values, i)).collect();
    Ok(format!("[{}]", values?.join(", ")))
}

fn entries(array: &dyn Array, row: usize) -> Result<String> {
    let entries = array.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    let entries: Result<Vec<_>> = (0..entries.len())
        .map(|i| Ok(format!("{} -> {}", text(keys, i)?, text(values, i)?)))
        .collect();
    Ok(format!("{{{}}}", entries?.join(", ")))
}

/// `2021-07-17 08:00:24`, with as many digits of a second as are not trailing zeros.
fn timestamp(array: &dyn Array, unit: TimeUnit, row: usize) -> Result<String> {
    use arrow::datatypes::{
        TimestampMicrosecondType as Micros, TimestampMillisecondType as Millis,
        TimestampNanosecondType as Nanos, TimestampSecondType as Seconds,
    };
    let time = match unit {
        TimeUnit::Second => timestamp_s_to_datetime(array.as_primitive::<Seconds>().value(row)),
        TimeUnit::Millisecond => {
            timestamp_ms_to_datetime(array.as_primitive::<Millis>().value(row))
        }
        TimeUnit::Microsecond => {
            timestamp_us_to_datetime(array.as_primitive::<Micros>().value(row))
        }
        TimeUnit::Nanosecond => timestamp_ns_to_datetime(array.as_primitive::<Nanos>().value(row)),
    };
    let Some(time) = time else {
        return plain(array, row);
    };
    let text = time.format("%Y-%m-%d %H:%M:%S%.9f").to_string();
    Ok(text.trim_end_matches('0').trim_end_matches('.').to_string())
}
