//! Columns whose names lost their case, in formats that find values by name.
//!
//! SQL reads `userId` as `userid`, and a record of JSON has `userId`: every row would be NULL, and
//! nothing would say why.

use headwater_core::format::FormatSpec;

use crate::ast::{ColumnKind, TableDeclaration};
use crate::column_text::identifier;

/// What formats begin with in which a name in another case is another name.
const BY_NAME: [&str; 5] = ["json", "avro", "msgpack", "influx", "debezium"];

/// Warns of columns that were written in both cases and without quotes.
pub(crate) fn warn_of_folded_names(
    owner: &str,
    declaration: &TableDeclaration,
    format: Option<&FormatSpec>,
) {
    let is_by_name = |spec: &&FormatSpec| BY_NAME.iter().any(|of| spec.name.starts_with(of));
    let Some(format) = format.filter(is_by_name) else {
        return;
    };
    let payload = declaration.columns.iter();
    let payload = payload.filter(|column| matches!(column.kind, ColumnKind::Payload { .. }));
    for column in payload {
        let Some(written) = column
            .name
            .folded_from
            .as_deref()
            .filter(|w| has_both_cases(w))
        else {
            continue;
        };
        let (name, quoted) = (&column.name.value, identifier(written));
        let format = format.name.to_ascii_uppercase();
        tracing::warn!(
            "column {written} of {owner} is named {name}, as names without quotes are: a field \
             {written} of {format} is another one; write {quoted} to mean that"
        );
    }
}

/// Names that are upper case throughout are a way of writing SQL, and not of naming fields.
fn has_both_cases(written: &str) -> bool {
    let has = |is: fn(&char) -> bool| written.chars().any(|c| is(&c));
    has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::has_both_cases;

    #[test]
    fn camels_have_both_cases() {
        let camels = ["userId", "UserID", "a1B"];
        let others = ["userid", "USER_ID", "a", "X1"];
        assert!(camels.into_iter().all(has_both_cases));
        assert!(!others.into_iter().any(has_both_cases));
    }
}
