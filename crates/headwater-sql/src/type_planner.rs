//! SQL types that mean something else here than in DataFusion (TIMESTAMP is microseconds), or that
//! it does not have (BINARY, MAP, `TIMESTAMP_LTZ`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType as ArrowType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, Result as DataFusionResult, TableReference, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::sql::planner::SqlToRel;
use datafusion::sql::sqlparser::ast::{ColumnDef, DataType, Ident, ObjectName, TimezoneInfo};

use headwater_core::options::nearest;
use headwater_core::{Error, Result};

/// Maps TIMESTAMP, BINARY and MAP types; leaves all others to DataFusion.
#[derive(Debug)]
pub struct HeadwaterTypePlanner;

impl TypePlanner for HeadwaterTypePlanner {
    fn plan_type_field(&self, sql_type: &DataType) -> DataFusionResult<Option<FieldRef>> {
        let (precision, zone) = match sql_type {
            DataType::Timestamp(precision, zone) => (*precision, *zone),
            DataType::Datetime(precision) => (*precision, TimezoneInfo::None),
            DataType::TimestampNtz(precision) => (*precision, TimezoneInfo::None),
            DataType::Binary(_) | DataType::Varbinary(_) | DataType::Bytes(_) => {
                return Ok(Some(Arc::new(Field::new("", ArrowType::Binary, true))));
            }
            DataType::Custom(name, modifiers) => timestamp_with_zone(name, modifiers)?,
            DataType::Map(key, value) => {
                return Ok(Some(Arc::new(Field::new("", map_of(key, value)?, true))));
            }
            _ => return Ok(None),
        };
        let unit = match precision {
            None | Some(6) => TimeUnit::Microsecond,
            Some(0) => TimeUnit::Second,
            Some(3) => TimeUnit::Millisecond,
            Some(9) => TimeUnit::Nanosecond,
            Some(other) => {
                return plan_err!("TIMESTAMP({other}) is not a type: use 0, 3, 6 or 9");
            }
        };
        let zone = match zone {
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
            TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => Some(Arc::from("+00:00")),
        };
        let field = Field::new("", ArrowType::Timestamp(unit, zone), true);
        Ok(Some(Arc::new(field)))
    }
}

/// Flink's `TIMESTAMP_LTZ(p)`; any other word is no type.
fn timestamp_with_zone(
    name: &ObjectName,
    modifiers: &[String],
) -> DataFusionResult<(Option<u64>, TimezoneInfo)> {
    let name = name.to_string();
    if !name.eq_ignore_ascii_case("TIMESTAMP_LTZ") {
        return Err(no_type(&name).into());
    }
    match modifiers {
        [] => Ok((None, TimezoneInfo::Tz)),
        [precision] if precision.parse::<u64>().is_ok() => {
            Ok((precision.parse().ok(), TimezoneInfo::Tz))
        }
        _ => plan_err!(
            "TIMESTAMP_LTZ({}) is not a type: use 0, 3, 6 or 9",
            modifiers.join(", ")
        ),
    }
}

/// The types by their names; the first of each group is named where none is near.
const TYPES: [&[&str]; 17] = [
    &["BOOLEAN"],
    &["TINYINT"],
    &["SMALLINT"],
    &["INT", "INTEGER"],
    &["BIGINT"],
    &["FLOAT", "REAL"],
    &["DOUBLE"],
    &["DECIMAL", "NUMERIC"],
    &["VARCHAR", "STRING", "TEXT", "CHAR"],
    &["BYTEA", "BYTES", "BINARY", "VARBINARY"],
    &["DATE"],
    &["TIME"],
    &["TIMESTAMP", "TIMESTAMP_LTZ", "DATETIME"],
    &["INTERVAL"],
    &["STRUCT", "ROW"],
    &["ARRAY"],
    &["MAP"],
];

fn no_type(name: &str) -> Error {
    let error = Error::plan(format!("type \"{name}\" does not exist"));
    let known = TYPES.iter().copied().flatten().copied();
    match nearest(name, known) {
        Some(near) => error.with_hint(format!("Did you mean {near}?")),
        None => {
            let names: Vec<&str> = TYPES
                .iter()
                .filter_map(|names| names.first())
                .copied()
                .collect();
            error.with_hint(format!("The types are {}.", names.join(", ")))
        }
    }
}

/// The type of maps, as DataFusion's own functions make it.
///
/// Text keys are not views: a literal that looks one up is none, and DataFusion compares keys with
/// it as they are.
fn map_of(key: &DataType, value: &DataType) -> DataFusionResult<ArrowType> {
    let key = match arrow_type_inside(key)? {
        ArrowType::Utf8View => ArrowType::Utf8,
        other => other,
    };
    let parts = vec![
        Field::new("key", key, false),
        Field::new("value", arrow_type_inside(value)?, true),
    ];
    let entries = Field::new_struct("entries", parts, false);
    Ok(ArrowType::Map(Arc::new(entries), false))
}

/// The Arrow type of a SQL type inside another one: DataFusion's planner of types does not hand its
/// own conversion on to those that it asks.
fn arrow_type_inside(sql_type: &DataType) -> DataFusionResult<ArrowType> {
    let column = ColumnDef {
        name: Ident::new("inside"),
        data_type: sql_type.clone(),
        options: Vec::new(),
    };
    let schema = SqlToRel::new(&TypesOnly::default()).build_schema(vec![column])?;
    Ok(schema.field(0).data_type().clone())
}

/// What DataFusion's planner asks for types alone: there is nothing else.
#[derive(Debug, Default)]
struct TypesOnly(ConfigOptions);

impl ContextProvider for TypesOnly {
    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(HeadwaterTypePlanner))
    }

    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        plan_err!("there is no table {name} in a type")
    }

    fn get_function_meta(&self, _: &str) -> Option<Arc<ScalarUDF>> {
        None
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<ArrowType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.0
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The Arrow type of a SQL type.
///
/// # Errors
/// If it is not a type.
pub(crate) fn arrow_type(session: &SessionState, sql_type: &DataType) -> Result<ArrowType> {
    // DataFusion's conversion is reachable through an expression only.
    let schema = DFSchema::empty();
    let cast = session.create_logical_expr(&format!("CAST(NULL AS {sql_type})"), &schema)?;
    Ok(cast.get_type(&schema)?)
}
