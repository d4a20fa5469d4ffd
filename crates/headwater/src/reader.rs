//! Sources by format and options, without SQL text.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use headwater_core::{Error, Result};
use headwater_plan::{StreamDefinition, StreamTable};
use headwater_sql::ast::{Statement, TableDeclaration};
use headwater_sql::parser::parse_script;

use crate::frame::{Frame, StreamFrame};
use crate::quote::{identifier, with_clause};
use crate::session::Headwater;

/// What is said about a source.
#[derive(Debug, Clone)]
struct Parts {
    session: Headwater,
    options: Vec<(String, String)>,
    columns: Option<String>,
    value_format: Option<String>,
}

impl Parts {
    fn new(session: Headwater) -> Self {
        Parts {
            session,
            options: vec![],
            columns: None,
            value_format: None,
        }
    }

    /// The declaration of the source under a name, as `CREATE SOURCE` would have it.
    fn declaration(&self, name: &str) -> Result<(TableDeclaration, String)> {
        let mut text = format!("CREATE SOURCE {}", identifier(name));
        if let Some(columns) = &self.columns {
            text.push_str(&format!(" ({columns})"));
        }
        text.push(' ');
        text.push_str(&with_clause(&self.options));
        if let Some(format) = &self.value_format {
            text.push_str(&format!(" FORMAT {format}"));
        }
        let statement = parse_script(&text)?.pop().map(|s| s.statement);
        match statement {
            Some(Statement::CreateSource(declaration)) => Ok((declaration, text)),
            _ => Err(Error::internal("a source was not declared as one")),
        }
    }

    /// A plan over the source under a name that SQL can use.
    fn plan(&self, name: &str) -> Result<LogicalPlan> {
        let (declaration, text) = self.declaration(name)?;
        self.session.binder.create_source(&declaration, &text)?;
        let entry = self.session.binder.catalog().source(name);
        let entry = entry.ok_or_else(|| Error::internal("a source was not declared"))?;
        scan(&entry.definition)
    }

    /// A plan over a source without a name in the catalog. It is called like its connector, so
    /// that a query finds its source in the checkpoint again.
    fn unnamed(&self) -> Result<(String, LogicalPlan)> {
        let is_connector = |(key, _): &&(String, String)| key == "connector";
        let connector = self.options.iter().find(is_connector);
        let name = connector.map_or("source", |(_, connector)| connector.as_str());
        let (declaration, text) = self.declaration(name)?;
        let entry = self.session.binder.declare_source(&declaration, &text)?;
        Ok((name.to_string(), scan(&entry.definition)?))
    }
}

/// A plan that reads a source.
pub(crate) fn scan(definition: &Arc<StreamDefinition>) -> Result<LogicalPlan> {
    let name = TableReference::bare(definition.name.as_str());
    let table = provider_as_source(Arc::new(StreamTable::new(Arc::clone(definition))));
    Ok(LogicalPlanBuilder::scan(name, table, None)?.build()?)
}

macro_rules! reader_methods {
    () => {
        /// The connector: `kafka`, `filesystem`, `datagen`, `socket`, `stdin`, `memory`.
        pub fn format(mut self, connector: &str) -> Self {
            self.0
                .options
                .push(("connector".to_string(), connector.to_string()));
            self
        }

        /// One option, as in `WITH (…)` of `CREATE SOURCE`.
        pub fn option(mut self, key: &str, value: &str) -> Self {
            self.0.options.push((key.to_string(), value.to_string()));
            self
        }

        /// Columns, metadata columns and watermark, as in the parentheses of `CREATE SOURCE`.
        pub fn columns(mut self, columns: &str) -> Self {
            self.0.columns = Some(columns.to_string());
            self
        }

        /// How values are encoded, as after `FORMAT`: `JSON`, `CSV (delimiter = ';')`.
        pub fn value_format(mut self, format: &str) -> Self {
            self.0.value_format = Some(format.to_string());
            self
        }
    };
}

/// Reads a source as it is now.
#[derive(Debug, Clone)]
pub struct Reader(Parts);

impl Reader {
    pub(crate) fn new(session: Headwater) -> Self {
        Reader(Parts::new(session))
    }

    reader_methods!();

    /// The rows; the source has no name that SQL could use.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn load(self) -> Result<Frame> {
        let (_, plan) = self.0.unnamed()?;
        Ok(Frame::new(self.0.session, plan))
    }

    /// The rows; SQL can name them too.
    ///
    /// # Errors
    /// What is wrong with the options, or that the name is taken.
    pub fn load_as(self, name: &str) -> Result<Frame> {
        let plan = self.0.plan(name)?;
        Ok(Frame::new(self.0.session, plan))
    }
}

/// Reads a source as a stream.
#[derive(Debug, Clone)]
pub struct StreamReader(Parts);

impl StreamReader {
    pub(crate) fn new(session: Headwater) -> Self {
        StreamReader(Parts::new(session))
    }

    reader_methods!();

    /// The rows; the source has no name that SQL could use.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub fn load(self) -> Result<StreamFrame> {
        let (name, plan) = self.0.unnamed()?;
        Ok(StreamFrame::of_source(self.0.session, plan, &name))
    }

    /// The rows; SQL can name them too.
    ///
    /// # Errors
    /// What is wrong with the options, or that the name is taken.
    pub fn load_as(self, name: &str) -> Result<StreamFrame> {
        let plan = self.0.plan(name)?;
        Ok(StreamFrame::of_source(self.0.session, plan, name))
    }
}
