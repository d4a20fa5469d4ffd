//! Sources whose columns are found in their records.

use headwater_core::format::FormatSpec;
use headwater_core::sample::SampleLimits;
use headwater_core::secret::{is_reference, is_secret_key};
use headwater_core::{Error, Result};
use headwater_formats::infer::{Inferred, SeenKeys};
use headwater_sql::ast::{InferClause, Statement, TableDeclaration};
use headwater_sql::column_text::{format_text, identifier, literal};
use headwater_sql::infer::{Comments, FoundColumns, declaration_with_columns, with_columns};
use headwater_sql::parser::parse_script;

use crate::session::Headwater;

/// A source to be looked at, whose columns nobody knows yet.
#[derive(Debug, Clone, Default)]
pub struct InferRequest {
    /// The name that the source gets.
    pub name: String,
    /// Its options, as in `WITH (…)`, `connector` among them. The values of passwords and their like
    /// are replaced by references in the statement.
    pub options: Vec<(String, String)>,
    /// Options of the look that the source does not have.
    pub sample_options: Vec<(String, String)>,
    /// The format, with `-` between its words, and its options; without it, one is guessed.
    pub format: Option<(String, Vec<(String, String)>)>,
    /// How many records are looked at.
    pub sample: Option<usize>,
}

/// What was found, and the statement that declares it.
#[derive(Debug, Clone)]
pub struct InferredSource {
    /// `CREATE SOURCE …` as it can be run, with comments.
    pub statement: String,
    /// The format, as it stands after `FORMAT`.
    pub format: String,
    /// Whether the format was guessed.
    pub is_guessed: bool,
    /// Where the records were: `topic "orders"`.
    pub place: String,
    /// The columns, and what was bad.
    pub inferred: Inferred,
    /// What the keys are, if records have some.
    pub keys: Option<SeenKeys>,
}

impl Headwater {
    /// Looks at records of a source and says which statement declares it. Nothing is declared.
    ///
    /// # Errors
    /// If the options are wrong, the records cannot be read, or they say nothing.
    pub async fn infer_source(&self, request: &InferRequest) -> Result<InferredSource> {
        let text = request.statement();
        let statement = parse_script(&text)?.pop().map(|s| s.statement);
        let Some(Statement::CreateSource(mut declaration)) = statement else {
            return Err(Error::internal(
                "a source to be looked at was not read as one",
            ));
        };
        let clause = declaration.infer;
        let clause = clause.ok_or_else(|| Error::internal("a statement has lost its INFER"))?;
        let all = request.options.iter().chain(&request.sample_options);
        declaration.options = all.cloned().collect();
        declaration.format = request.format_with(|_, value| value.to_string());
        let found = self.find_columns(&declaration).await?;
        let comments = Comments::NotesAndSuggestions;
        Ok(InferredSource {
            statement: with_columns(&text, &clause, &found, comments),
            format: format_text(&found.format),
            is_guessed: found.is_guessed,
            place: found.place,
            inferred: found.inferred,
            keys: found.keys,
        })
    }

    /// `CREATE SOURCE … INFER`: declares the source with the columns that are found.
    pub(crate) async fn create_inferred(
        &self,
        declaration: &TableDeclaration,
        clause: InferClause,
        text: &str,
    ) -> Result<()> {
        if !self.binder.may_create("source", declaration)? {
            return Ok(());
        }
        let placed = |e: Error| e.with_span(Some(clause.span));
        let has_format = |(key, _): &(String, String)| {
            key.eq_ignore_ascii_case("format") || key.eq_ignore_ascii_case("value.format")
        };
        let name = &declaration.name.value;
        if declaration.format.is_none() && !declaration.options.iter().any(has_format) {
            return Err(placed(
                Error::configuration(format!("INFER of source \"{name}\" needs a FORMAT"))
                    .with_hint("Add FORMAT JSON or another; `headwater kafka infer` guesses one."),
            ));
        }
        let found = self.find_columns(declaration).await.map_err(placed)?;
        let text = with_columns(text, &clause, &found, Comments::Notes);
        let declaration = declaration_with_columns(declaration, &clause, &text)?;
        self.binder.create_source(&declaration, &text)?;
        let (records, bad) = (found.inferred.records, found.inferred.bad_records());
        if bad > 0 {
            tracing::warn!(
                source = %name,
                "{bad} of {records} sampled records cannot be read with these columns: a query stops at \
                 the first, unless bad_data says what becomes of them"
            );
        }
        tracing::info!(
            source = %name,
            columns = found.inferred.columns.len(),
            left_out = found.inferred.left_out.len(),
            records = found.inferred.records,
            bad = found.inferred.bad_records(),
            "columns inferred; SHOW CREATE SOURCE shows the statement that declares them, which \
             later runs should use"
        );
        Ok(())
    }

    async fn find_columns(&self, declaration: &TableDeclaration) -> Result<FoundColumns> {
        self.binder
            .find_columns(declaration, &self.environment.clock)
            .await
    }
}

impl InferRequest {
    /// The format with its values as `written` has them.
    fn format_with(&self, written: impl Fn(&str, &str) -> String) -> Option<FormatSpec> {
        let (name, options) = self.format.as_ref()?;
        let mut format = FormatSpec::named(name);
        for (key, value) in options {
            format.options.set(key, written(key, value));
        }
        Some(format)
    }

    /// The statement with `INFER` in the place of the columns.
    fn statement(&self) -> String {
        let sample = self
            .sample
            .unwrap_or_else(|| SampleLimits::default().records);
        let mut text = format!("CREATE SOURCE {} ", identifier(&self.name));
        if let Some(format) = self.format_with(shown) {
            text += &format!("FORMAT {} ", format_text(&format));
        }
        text += &format!("INFER (sample = {sample}) WITH (");
        let option = |(key, value): &(String, String)| {
            format!("\n  {} = {}", literal(key), literal(&shown(key, value)))
        };
        let options: Vec<_> = self.options.iter().map(option).collect();
        text += &options.join(",");
        text + "\n)"
    }
}

/// A value as the statement has it: of a secret a reference, that which was given or one to the
/// environment.
fn shown(key: &str, value: &str) -> String {
    if !is_secret_key(key) || is_reference(value) {
        return value.to_string();
    }
    let words = key.strip_prefix("properties.").unwrap_or(key);
    let name = words.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    format!("${{env:{}}}", name.collect::<String>())
}

#[cfg(test)]
mod tests;
