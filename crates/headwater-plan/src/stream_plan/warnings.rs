//! What a user should know of a plan before it runs for long.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::Expr;

use headwater_core::mode::OutputMode;
use headwater_exec::keyed::Growth;

use super::{ModeRequest, OperatorInfo};
use crate::stream_table::StreamDefinition;

/// What is known of a plan.
pub(super) struct Facts<'a> {
    pub(super) operators: &'a [OperatorInfo],
    pub(super) sources: &'a [Arc<StreamDefinition>],
    /// The bound of a window over which there are windows.
    pub(super) bound: Option<Expr>,
    /// The column of the sink's key, if it may be NULL and no row is found again then.
    pub(super) null_key: Option<String>,
}

/// State that grows for ever, windows that are never finished, and keys that are none.
pub(super) fn warnings(facts: &Facts<'_>) -> Vec<String> {
    let has_watermark = facts.sources.iter().any(|s| s.watermark.is_some());
    let operators = facts.operators.iter();
    let operators = operators.filter(|o| has_watermark || o.growth != Growth::ByWindows);
    let mut warnings: Vec<String> = operators.filter_map(growing).collect();
    let operators = facts.operators.iter();
    warnings.extend(operators.filter_map(growing_in_one_group));
    let windowed = |o: &OperatorInfo| o.id.as_str().ends_with("window-aggregate");
    if facts.operators.iter().any(windowed) && !has_watermark {
        warnings.push(
            "no source has a watermark: windows are never finished and their state is kept"
                .to_string(),
        );
    }
    if let Some(bound) = &facts.bound {
        let bound = bound.human_display();
        warnings.push(format!(
            "\"{bound}\" is no event time: groups of its windows are never finished; window by \
             window_time, the event time of the windows below"
        ));
    }
    if let Some(column) = &facts.null_key {
        warnings.push(format!(
            "\"{column}\" is the key of the sink and may be NULL: such a row has no key there, so it \
             replaces none; write coalesce({column}, …), or declare the column of the source NOT NULL"
        ));
    }
    warnings
}

/// The column by which a sink replaces rows, if it may be NULL and the sink then has no key.
pub(super) fn null_key(
    mode: OutputMode,
    request: &ModeRequest,
    schema: &SchemaRef,
) -> Option<String> {
    let [column] = request.key.as_slice() else {
        return None;
    };
    let field = schema.field_with_name(column).ok()?;
    let is_lost = request.loses_null_keys && mode == OutputMode::Update && field.is_nullable();
    is_lost.then(|| column.clone())
}

/// The warning of a result of one row that grows behind it.
fn growing_in_one_group(operator: &OperatorInfo) -> Option<String> {
    let first = operator.keeps_values.first()?;
    let more = match operator.keeps_values.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(format!(
        "operator {} keeps the values that \"{first}\"{more} has ever seen: its state grows with \
         their number; a window ends them, and approx_distinct(x) and approx_percentile_cont(x, \
         0.5) need a fixed room",
        operator.id
    ))
}

fn growing(operator: &OperatorInfo) -> Option<String> {
    let id = &operator.id;
    let (what, with) = match operator.growth {
        Growth::None => return None,
        Growth::ByWindows => {
            let way_out = match id.as_str().contains("-session") {
                true => "`EMIT ON WINDOW CLOSE` forgets sessions",
                false => "`EMIT ON UPDATE` and `EMIT ON WINDOW CLOSE` forget windows",
            };
            return Some(format!(
                "operator {id} keeps every window it has ever seen, because complete mode shows them \
                 all: its state grows with time; {way_out} behind the watermark"
            ));
        }
        Growth::ByKeys if operator.ttl.is_some() => return None,
        Growth::ByKeys if id.as_str().ends_with("running-aggregate") => {
            ("every group it has ever seen", "distinct keys")
        }
        Growth::ByKeys => ("rows of every key it has ever seen", "distinct keys"),
        Growth::ByRows => ("every row it has ever seen", "rows"),
    };
    let way_out = match operator.ttl {
        Some(_) => "",
        None => "; 'state.ttl' = '1 day' in WITH forgets keys that no row has touched for a day",
    };
    Some(format!(
        "operator {id} keeps {what}: its state grows with the number of {with}{way_out}"
    ))
}
