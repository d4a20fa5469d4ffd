//! Sources by format and options, without SQL text.

use headwater_core::{Error, Result};
use headwater_plan::stream_plan::Emit;
use headwater_sql::ast::Statement;
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

    /// Declares the source under a name, as `CREATE SOURCE` would.
    fn declare(&self, name: &str) -> Result<()> {
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
            Some(Statement::CreateSource(declaration)) => {
                self.session.binder.create_source(&declaration, &text)
            }
            _ => Err(Error::internal("a source was not declared as one")),
        }
    }

    async fn plan(&self, name: &str) -> Result<datafusion::logical_expr::LogicalPlan> {
        self.declare(name)?;
        let frame = self
            .session
            .query(&format!("SELECT * FROM {}", identifier(name)))
            .await?;
        Ok(frame.into_plan())
    }
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

    /// The rows, under a name of its own.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub async fn load(self) -> Result<Frame> {
        let name = self.0.session.fresh_name("read");
        self.load_as(&name).await
    }

    /// The rows; SQL can name them too.
    ///
    /// # Errors
    /// What is wrong with the options, or that the name is taken.
    pub async fn load_as(self, name: &str) -> Result<Frame> {
        let plan = self.0.plan(name).await?;
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

    /// The rows, under a name of its own.
    ///
    /// # Errors
    /// What is wrong with the options.
    pub async fn load(self) -> Result<StreamFrame> {
        let name = self.0.session.fresh_name("read");
        self.load_as(&name).await
    }

    /// The rows; SQL can name them too.
    ///
    /// # Errors
    /// What is wrong with the options, or that the name is taken.
    pub async fn load_as(self, name: &str) -> Result<StreamFrame> {
        let plan = self.0.plan(name).await?;
        let text = format!("SELECT * FROM {}", identifier(name));
        Ok(StreamFrame::new(self.0.session, plan, Emit::Default, text))
    }
}
