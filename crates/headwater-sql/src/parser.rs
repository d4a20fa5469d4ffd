//! Text to statements: headwater's statements are read here, all others by DataFusion's parser.
//!
//! ```text
//! text ─► script (tokens, split at `;`) ─► cursor over one statement ─► first words decide
//!                                                            ├─ own: create, query, inspect
//!                                                            └─ DataFusion's `DFParser`
//! ```
//! Every error is placed by line and column of the whole script.

mod columns;
mod create;
mod cursor;
mod depth;
mod durations;
mod emit;
mod external_table;
mod field_access;
mod field_names;
mod infer;
mod inspect;
mod json_arrows;
mod map_type;
mod option_list;
mod query;
mod refusals;
mod schema_text;
mod script;
mod set_operations;
mod syntax_error;
mod window_calls;
mod window_tables;

use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::Result;

use crate::ast::{ParsedStatement, Statement};

use self::cursor::Cursor;
use self::script::Script;

pub use self::durations::{length_of, signed_length_of, signed_micros_of};
pub use self::field_access::{rewrite_field_access, rewrite_statement_field_access};
pub use self::field_names::{name_fields, name_statement_fields};
pub use self::json_arrows::{rewrite_json_arrows, rewrite_statement_json_arrows};
pub use self::schema_text::{SchemaText, parse_schema_text};
pub use self::script::is_complete;
pub use self::window_calls::{refuse_group_windows, rewrite_statement_windows, rewrite_windows};
pub use self::window_tables::{WindowKind, WindowTableFunction, window_table_function};

/// Reads all statements of a script; `;` stands between them and may stand after the last.
///
/// # Errors
/// If a statement cannot be read ([`Syntax`](headwater_core::ErrorKind::Syntax)) or is known and
/// not there yet ([`Unsupported`](headwater_core::ErrorKind::Unsupported)), with its place.
pub fn parse_script(sql: &str) -> Result<Vec<ParsedStatement>> {
    let script = Script::read(sql)?;
    script
        .statements()
        .iter()
        .map(|tokens| {
            let mut cursor = Cursor::new(tokens);
            let statement = parse_statement(&mut cursor)
                .map_err(|e| syntax_error::with_spelling_hint(e, tokens))?;
            Ok(ParsedStatement {
                statement,
                text: tokens.text().to_string(),
                span: tokens.span(),
            })
        })
        .collect()
}

/// Reads the statement the cursor stands before, to its end.
fn parse_statement(cursor: &mut Cursor<'_>) -> Result<Statement> {
    depth::refuse_depth(cursor.statement().tokens())?;
    refusals::refuse_what_is_not_there_yet(cursor)?;
    if cursor.peek().token == Token::LParen {
        return query::parse_select(cursor);
    }
    match cursor.word(0).as_deref() {
        Some("CREATE") => create::parse_create(cursor),
        Some("SELECT" | "WITH" | "VALUES" | "FROM") => query::parse_select(cursor),
        Some("INSERT") => query::parse_insert(cursor),
        Some("EXPLAIN") => inspect::parse_explain(cursor),
        Some("SHOW") => inspect::parse_show(cursor),
        Some("DESCRIBE" | "DESC") => inspect::parse_describe(cursor),
        Some("SET") => inspect::parse_set(cursor),
        Some("START" | "STOP") => inspect::parse_start_or_stop(cursor),
        Some("DROP") => inspect::parse_drop(cursor),
        _ => cursor.parse_datafusion(),
    }
}

#[cfg(test)]
mod tests;
