//! The SQL names of column types, for messages and descriptions.

use arrow::datatypes::{DataType, TimeUnit};

/// The name as a user declares the type, with the types inside: `ARRAY<BIGINT>`.
pub fn type_name(data_type: &DataType) -> String {
    name_of(data_type, "VARCHAR")
}

/// The name as checkpoints keep it, where a text has been a STRING from the first on.
pub fn stored_type_name(data_type: &DataType) -> String {
    name_of(data_type, "STRING")
}

/// The name, in which a text has the name `text`.
fn name_of(data_type: &DataType, text: &str) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Timestamp(unit, zone) => {
            let precision = match unit {
                TimeUnit::Second => "(0)",
                TimeUnit::Millisecond => "(3)",
                TimeUnit::Microsecond => "",
                TimeUnit::Nanosecond => "(9)",
            };
            let zone = if zone.is_some() {
                " WITH TIME ZONE"
            } else {
                ""
            };
            return format!("TIMESTAMP{precision}{zone}");
        }
        DataType::Interval(_) => "INTERVAL",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => return format!("DECIMAL({p},{s})"),
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<_> = fields
                .map(|field| format!("{} {}", field.name(), name_of(field.data_type(), text)))
                .collect();
            return format!("STRUCT<{}>", fields.join(", "));
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            return format!("ARRAY<{}>", name_of(item.data_type(), text));
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let parts: Vec<_> = fields
                    .iter()
                    .map(|f| name_of(f.data_type(), text))
                    .collect();
                return format!("MAP<{}>", parts.join(", "));
            }
            _ => "MAP",
        },
        DataType::Dictionary(_, value) => return name_of(value, text),
        // What looking into JSON gives: nothing else here is one of several types.
        DataType::Union(..) => "JSON value",
        DataType::Null => "NULL",
        other => return other.to_string(),
    };
    name.to_string()
}

/// The name after its article, without the types inside: `a DOUBLE`, `an ARRAY`.
pub fn a_type_name(data_type: &DataType) -> String {
    let name = type_name(data_type);
    let name = name.split('<').next().unwrap_or_default();
    let article = if name.starts_with(['A', 'I']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Fields};

    use super::*;

    #[test]
    fn names_are_those_of_declarations() {
        let text = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list = DataType::List(text);
        let fields = Fields::from(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("tags", list, true),
        ]);
        let nested = DataType::Struct(fields);
        assert_eq!(type_name(&nested), "STRUCT<id BIGINT, tags ARRAY<VARCHAR>>");
        let stored = "STRUCT<id BIGINT, tags ARRAY<STRING>>";
        assert_eq!(stored_type_name(&nested), stored);
        assert_eq!(a_type_name(&nested), "a STRUCT");
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        assert_eq!(type_name(&zoned), "TIMESTAMP(3) WITH TIME ZONE");
        assert_eq!(a_type_name(&DataType::Int32), "an INT");
    }
}
