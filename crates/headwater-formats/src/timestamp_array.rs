//! Timestamp arrays of any unit as plain integers, for the encoders.

use arrow::array::{Array, AsArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

/// The values and their unit; `None` if the array holds no timestamps.
pub(crate) fn timestamp_values(array: &dyn Array) -> Option<(ScalarBuffer<i64>, TimeUnit)> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return None;
    };
    let values = match unit {
        TimeUnit::Second => array.as_primitive_opt::<TimestampSecondType>()?.values(),
        TimeUnit::Millisecond => array
            .as_primitive_opt::<TimestampMillisecondType>()?
            .values(),
        TimeUnit::Microsecond => array
            .as_primitive_opt::<TimestampMicrosecondType>()?
            .values(),
        TimeUnit::Nanosecond => array
            .as_primitive_opt::<TimestampNanosecondType>()?
            .values(),
    };
    Some((values.clone(), *unit))
}
