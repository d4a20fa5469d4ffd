//! Names and values as SQL text.

/// An identifier in double quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `WITH (…)` of options in order.
pub(crate) fn with_clause(options: &[(String, String)]) -> String {
    let pairs: Vec<_> = options
        .iter()
        .map(|(k, v)| format!("{} = {}", literal(k), literal(v)))
        .collect();
    format!("WITH ({})", pairs.join(", "))
}
