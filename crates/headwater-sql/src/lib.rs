//! SQL text to bound statements: the dialect, the statements headwater adds to DataFusion's, the
//! parser that stands in front of DataFusion's own, and the binder that gives them meaning.

mod assignment;
pub mod ast;
pub mod binder;
pub mod catalog;
pub mod column_text;
pub mod dead_letters;
mod declare;
pub mod dialect;
mod folded_names;
mod format_clauses;
mod from_names;
mod from_unknown;
mod functions;
pub mod infer;
mod insert_columns;
mod insert_names;
pub mod late_rows;
pub mod parser;
pub mod relation_planner;
mod side_sinks;
mod struct_wildcards;
pub mod type_planner;
mod with_tables;
