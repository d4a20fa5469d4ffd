//! SQL text to statements: the dialect, the statements headwater adds to DataFusion's, and the
//! parser that stands in front of DataFusion's own.

pub mod ast;
pub mod dialect;
pub mod parser;
