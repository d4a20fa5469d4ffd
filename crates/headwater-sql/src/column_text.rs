//! Columns and formats as SQL text that can be read again.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::sql::sqlparser::keywords::{
    Keyword, RESERVED_FOR_COLUMN_ALIAS, RESERVED_FOR_IDENTIFIER, RESERVED_FOR_TABLE_ALIAS,
};
use datafusion::sql::sqlparser::tokenizer::{Token, Word};
use headwater_core::excerpt::excerpt;
use headwater_core::format::FormatSpec;
use headwater_core::type_name::type_name;
use headwater_formats::infer::{Inferred, InferredColumn, SeenKeys};

use crate::infer::Comments;

/// Words that begin something else than a column in a list of columns.
const LIST_WORDS: [&str; 8] = [
    "watermark",
    "primary",
    "constraint",
    "unique",
    "check",
    "default",
    "references",
    "foreign",
];

/// A name, in quotes if it needs them.
pub fn identifier(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain && !is_reserved(name) {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn is_reserved(name: &str) -> bool {
    let keyword = match Token::make_word(name, None) {
        Token::Word(Word { keyword, .. }) => keyword,
        _ => Keyword::NoKeyword,
    };
    let reserved = [
        RESERVED_FOR_COLUMN_ALIAS,
        RESERVED_FOR_TABLE_ALIAS,
        RESERVED_FOR_IDENTIFIER,
    ];
    LIST_WORDS.contains(&name)
        || keyword != Keyword::NoKeyword && reserved.iter().any(|words| words.contains(&keyword))
}

/// A value in quotes.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A format as it stands after `FORMAT`.
pub fn format_text(format: &FormatSpec) -> String {
    let name = format.name.replace('-', " ").to_ascii_uppercase();
    let options = format.options.iter();
    let options: Vec<_> = options
        .map(|(k, v)| format!("{} = {}", literal(k), literal(v)))
        .collect();
    match options.is_empty() {
        true => name,
        false => format!("{name} ({})", options.join(", ")),
    }
}

/// The type as a declaration has it; names inside are quoted where they must be.
pub fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) => {
            let field =
                |f: &FieldRef| format!("{} {}", identifier(f.name()), type_text(f.data_type()));
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::List(element) => format!("ARRAY<{}>", type_text(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(parts) => {
                let parts: Vec<_> = parts.iter().map(|f| type_text(f.data_type())).collect();
                format!("MAP<{}>", parts.join(", "))
            }
            _ => type_name(data_type),
        },
        _ => type_name(data_type),
    }
}

/// A list of columns in parentheses, one a line and aligned, with what is to be known as comments.
pub(crate) fn column_list(found: &Inferred, keys: Option<&SeenKeys>, comments: Comments) -> String {
    let names: Vec<String> = found.columns.iter().map(|c| identifier(&c.name)).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let last = found.columns.len().saturating_sub(1);
    let mut out = "(\n".to_string();
    for (place, (column, name)) in found.columns.iter().zip(&names).enumerate() {
        let comma = if place == last { "" } else { "," };
        let null = if column.is_nullable { "" } else { " NOT NULL" };
        let pad = " ".repeat(width - name.chars().count());
        out += &format!(
            "  {name}{pad} {}{null}{comma}",
            type_text(&column.data_type)
        );
        if let Some(note) = &column.note {
            out += &format!(" {}", comment(note));
        }
        out.push('\n');
    }
    if comments == Comments::NotesAndSuggestions {
        for clause in suggestions(found, keys) {
            out += &format!("  -- {clause}\n");
        }
    }
    for (name, why) in &found.left_out {
        let text = format!("without {}: {why}", identifier(name));
        out += &format!("  {}\n", comment(&text));
    }
    for note in &found.notes {
        out += &format!("  {}\n", comment(note));
    }
    out.push(')');
    out
}

/// What could be declared, too.
fn suggestions(found: &Inferred, keys: Option<&SeenKeys>) -> Vec<String> {
    let mut clauses = Vec::new();
    if let Some(keys) = keys {
        let is_taken = |name: &str| {
            let mut columns = found.columns.iter();
            columns.any(|column| column.name.eq_ignore_ascii_case(name))
        };
        let name = if is_taken("key") {
            "message_key"
        } else {
            "key"
        };
        let data_type = if keys.are_texts { "VARCHAR" } else { "BYTEA" };
        let name = identifier(name);
        clauses.push(format!(", {name} {data_type} METADATA FROM 'key'"));
        if let Some(format) = keys.format {
            clauses.push(format!(
                "or columns of the keys: KEY FORMAT {format} after the FORMAT, and \
                 'key.columns' = '…'"
            ));
        }
    }
    if let Some(column) = found.columns.iter().find(|c| is_time(c)) {
        let name = identifier(&column.name);
        clauses.push(format!(
            ", WATERMARK FOR {name} AS {name} - INTERVAL '10 seconds'"
        ));
    }
    let bad = found.bad_records();
    if bad > 0 {
        clauses.push(format!(
            "{bad} of {} records are bad: without bad_data = 'drop' or 'dead_letter' in WITH, a \
             query stops at the first",
            found.records
        ));
    }
    clauses
}

fn is_time(column: &InferredColumn) -> bool {
    matches!(column.data_type, DataType::Timestamp(..))
}

/// A comment of one line, whatever is in the text.
fn comment(text: &str) -> String {
    format!("-- {}", excerpt(text.as_bytes()))
}
