//! SQL types that mean something else here than in DataFusion (TIMESTAMP is microseconds), or that
//! it does not have (BINARY).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType as ArrowType, Field, FieldRef, TimeUnit};
use datafusion::common::{DFSchema, Result as DataFusionResult, plan_err};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType, TimezoneInfo};

use headwater_core::Result;

/// Maps TIMESTAMP and BINARY types; leaves all others to DataFusion.
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
