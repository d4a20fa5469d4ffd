//! `CREATE SOURCE … INFER`: the statement with the columns that were found in a sample.
//!
//! ```text
//!   CREATE SOURCE orders FORMAT JSON INFER WITH (…)
//!                       ▼ sample ▼ columns
//!   CREATE SOURCE orders (
//!     id BIGINT,
//!     at TIMESTAMP
//!   ) FORMAT JSON WITH (…)
//! ```
//!
//! The new text is what is declared, shown by SHOW CREATE SOURCE, and what a later run should use:
//! columns are found once and then stand there.

use std::sync::Arc;

use headwater_core::clock::Clock;
use headwater_core::connector::SamplerDefinition;
use headwater_core::format::FormatSpec;
use headwater_core::sample::SampleLimits;
use headwater_core::{Error, Result};
use headwater_formats::infer::{
    Guess, Inferred, SeenKeys, check_options, guess_format, infer, seen_keys,
};

use crate::ast::{InferClause, Statement, TableDeclaration};
use crate::binder::Binder;
use crate::column_text::{column_list, format_text};
use crate::declare::{bad_data, check_letter_sink, reader, watermark};
use crate::format_clauses::{format_of, key_format_of};
use crate::parser::parse_script;

/// What a sample has said of a source.
#[derive(Debug, Clone)]
pub struct FoundColumns {
    /// The format of the records.
    pub format: FormatSpec,
    /// Whether the format was guessed, because nobody said it.
    pub is_guessed: bool,
    /// Where the records were: `topic "orders"`.
    pub place: String,
    /// The columns.
    pub inferred: Inferred,
    /// The keys, if records have some.
    pub keys: Option<SeenKeys>,
}

/// What is written beside the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// What is to be known of columns.
    Notes,
    /// What could be declared, too: a column of the keys, a watermark, what becomes of bad records.
    NotesAndSuggestions,
}

impl Binder {
    /// Reads a sample of a source and finds its columns; without a FORMAT that is found too.
    ///
    /// # Errors
    /// If the options are wrong, the connector cannot be sampled, or the sample says nothing.
    pub async fn find_columns(
        &self,
        declaration: &TableDeclaration,
        clock: &Arc<dyn Clock>,
    ) -> Result<FoundColumns> {
        let mut options = reader("source", declaration);
        let owner = options.owner().to_string();
        let connector = options.require("connector", &[], "kafka")?;
        let connector = self.catalog().connector(&connector)?;
        let format = format_of(declaration, &mut options)?;
        if let Some(format) = &format {
            check_options(format, &owner)?;
        }
        if key_format_of(declaration, connector.as_ref(), &mut options)?.is_some() {
            return Err(Error::unsupported(format!(
                "the columns in the key of {owner} cannot be inferred"
            ))
            .with_hint(
                "Leave KEY FORMAT out, take the statement that SHOW CREATE SOURCE prints, and \
                 declare the columns of the key in it.",
            ));
        }
        let (policy, letter_sink) = bad_data(&mut options)?;
        watermark(declaration, &mut options)?;
        let definition = SamplerDefinition {
            name: declaration.name.value.clone(),
            format: format.clone(),
        };
        let sampler = connector.declare_sampler(definition, &mut options)?;
        options.finish()?;
        check_letter_sink(&owner, policy, letter_sink.as_deref())?;
        let place = sampler.place();
        let mut limits = SampleLimits::default();
        if let Some(records) = declaration.infer.and_then(|infer| infer.sample) {
            limits.records = records;
        }
        let sample = sampler.sample(limits, Arc::clone(clock)).await?;
        let (format, is_guessed) = match format {
            Some(format) => (format, false),
            None => match guess_format(&owner, &sample.payloads).await? {
                Guess::Format(format) => (format, true),
                Guess::Registered { schema_id } => return Err(needs_registry(&owner, schema_id)),
            },
        };
        let keys = match &sample.keys {
            Some(keys) => seen_keys(&owner, keys).await?,
            None => None,
        };
        Ok(FoundColumns {
            keys,
            inferred: infer(&format, &owner, &sample).await?,
            format,
            is_guessed,
            place,
        })
    }
}

fn needs_registry(owner: &str, schema_id: u32) -> Error {
    Error::configuration(format!(
        "the records of {owner} name their schema by an id, such as {schema_id}, and no schema \
         registry is known"
    ))
    .with_hint(
        "Name it: FORMAT AVRO (schema.registry = 'http://…'); in `headwater kafka infer`, \
         --format avro --format-option schema.registry=http://….",
    )
}

/// The text of a statement with the columns that were found in the place of its INFER.
pub fn with_columns(
    text: &str,
    clause: &InferClause,
    found: &FoundColumns,
    comments: Comments,
) -> String {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let format = match found.is_guessed {
        true => format!("FORMAT {} ", format_text(&found.format)),
        false => String::new(),
    };
    let written = format!(
        "{}{} {}{format}{}",
        part(0, clause.columns_at),
        column_list(&found.inferred, found.keys.as_ref(), comments),
        part(clause.columns_at, clause.start),
        part(clause.end, text.len()),
    );
    written.trim_end().to_string()
}

/// The declaration that a statement is with the columns that were found; what is wrong with a column
/// is placed at the INFER that found it.
///
/// # Errors
/// Only for a bug: if the statement cannot be read.
pub fn declaration_with_columns(
    declaration: &TableDeclaration,
    clause: &InferClause,
    text: &str,
) -> Result<TableDeclaration> {
    let unread = || Error::internal("a statement with inferred columns cannot be read");
    let statement = parse_script(text)
        .map_err(|e| unread().with_source(e))?
        .pop();
    let Some(Statement::CreateSource(mut found)) = statement.map(|s| s.statement) else {
        return Err(unread());
    };
    for column in &mut found.columns {
        column.span = clause.span;
        column.name.span = clause.span;
    }
    Ok(TableDeclaration {
        columns: found.columns,
        infer: None,
        ..declaration.clone()
    })
}
