//! Statement by statement: what each one does in the session.

use std::sync::Arc;

use headwater_core::options::{OptionReader, Options};
use headwater_core::{Error, ErrorKind, Result};
use headwater_plan::{on_large_stack, reads_sources};
use headwater_sql::ast::{
    CreateStreamingQuery, InsertQuery, Name, ObjectKind, ParsedStatement, SelectQuery, SetOption,
    Statement,
};
use headwater_sql::binder::{BoundInsert, emit_of, query_span};

use crate::outcome::Outcome;
use crate::session::{Definition, Headwater};
use crate::settings::elsewhere;
use crate::start::{Asked, RequestedSink, StartRequest};

impl Headwater {
    /// Runs a statement; an error that knows no better place has that of the statement.
    pub(crate) async fn run_statement(&self, parsed: &ParsedStatement) -> Result<Outcome> {
        let outcome = on_large_stack(self.dispatch(parsed)).await;
        outcome.map_err(|e| placed(e, parsed))
    }

    async fn dispatch(&self, parsed: &ParsedStatement) -> Result<Outcome> {
        let text = parsed.text.as_str();
        match &parsed.statement {
            Statement::CreateSource(declaration) => {
                match declaration.infer {
                    None => self.binder.create_source(declaration, text)?,
                    Some(infer) => self.create_inferred(declaration, infer, text).await?,
                }
                Ok(done("source", &declaration.name, "created"))
            }
            Statement::CreateSink(declaration) => {
                self.binder.create_sink(declaration, text)?;
                Ok(done("sink", &declaration.name, "created"))
            }
            Statement::CreateConnectorTable(declaration) => {
                self.binder.create_connector_table(declaration, text)?;
                Ok(done("table", &declaration.name, "created"))
            }
            Statement::CreateStreamingQuery(create) => self.create_query(create, text).await,
            Statement::Insert(insert) => self.insert(insert).await,
            Statement::Select(select) => self.select(select).await,
            Statement::Explain(explain) => self.explain(explain).await,
            Statement::Show(kind) => self.show(*kind),
            Statement::ShowCreate { kind, name } => self.show_create(*kind, name),
            Statement::Describe(name) => self.describe(name).await,
            Statement::Set(set) => self.set_statement(set),
            Statement::StartStreamingQuery(name) => {
                let create = self.definition(name)?;
                let request = self.defined(&create).await?;
                self.start_query(request).await.map(Outcome::Query)
            }
            Statement::StopStreamingQuery(name) => {
                self.definition(name)?;
                if let Some(query) = self.queries.by_name(&name.value) {
                    query.stop().await?;
                }
                Ok(done("streaming query", name, "stopped"))
            }
            Statement::Drop {
                kind,
                name,
                if_exists,
            } => self.drop_object(*kind, name, *if_exists).await,
            Statement::DataFusion(statement) => self.datafusion(statement).await,
        }
    }

    async fn create_query(&self, create: &CreateStreamingQuery, text: &str) -> Result<Outcome> {
        let name = &create.name.value;
        let exists = self.shared.definitions.lock().contains_key(name);
        if exists && create.if_not_exists {
            return Ok(done("streaming query", &create.name, "exists already"));
        }
        if exists && !create.or_replace {
            return Err(
                Error::plan(format!("streaming query \"{name}\" exists already"))
                    .with_hint("Write CREATE OR REPLACE, or drop it first.")
                    .with_span(Some(create.name.span)),
            );
        }
        if exists && let Some(running) = self.queries.by_name(name) {
            running.stop().await?;
        }
        let query = self.start_query(self.defined(create).await?).await?;
        let definition = Definition {
            create: create.clone(),
            text: text.to_string(),
        };
        self.shared
            .definitions
            .lock()
            .insert(name.clone(), definition);
        Ok(Outcome::Query(query))
    }

    /// What `CREATE STREAMING QUERY` asks for.
    pub(crate) async fn defined(&self, create: &CreateStreamingQuery) -> Result<StartRequest> {
        let asked = self.asked(create)?;
        self.insert_request(&create.query, asked).await
    }

    /// What `CREATE STREAMING QUERY` says beside its SELECT.
    pub(crate) fn asked(&self, create: &CreateStreamingQuery) -> Result<Asked> {
        let name = create.name.value.clone();
        let options: Options = create.options.iter().cloned().collect();
        let mut reader = OptionReader::new(format!("streaming query \"{name}\""), &options);
        // A folder in WITH is this query's own; one from SET holds a folder per query.
        let own = options
            .get("checkpoint")
            .or_else(|| options.get("checkpointLocation"));
        let own = own.map(ToString::to_string);
        let settings = self.settings().overridden(&mut reader)?;
        let misplaced = create.options.iter().find_map(|(key, _)| elsewhere(key));
        reader.finish().map_err(|e| match misplaced {
            Some(hint) => e.with_hint(hint),
            None => e,
        })?;
        let checkpoint = match own {
            Some(folder) => (folder != "none").then_some(folder),
            None => settings
                .checkpoint
                .as_ref()
                .map(|base| format!("{base}/{name}")),
        };
        Ok(Asked {
            name,
            settings,
            checkpoint,
        })
    }

    async fn insert(&self, insert: &InsertQuery) -> Result<Outcome> {
        let bound = self.binder.bind_insert(insert).await?;
        if !reads_sources(&bound.plan) {
            return Box::pin(self.insert_rows(insert, bound)).await;
        }
        let asked = self.asked_by_insert(insert, |name| self.queries.is_running(name))?;
        let request = Self::request_of(insert, bound, asked);
        self.start_query(request).await.map(Outcome::Query)
    }

    /// What `INSERT INTO` asks for.
    pub(crate) async fn inserted(&self, insert: &InsertQuery) -> Result<StartRequest> {
        let asked = self.asked_by_insert(insert, |name| self.queries.is_running(name))?;
        self.insert_request(insert, asked).await
    }

    /// What `INSERT INTO` says beside its SELECT, if the queries run that `is_running` knows.
    pub(crate) fn asked_by_insert(
        &self,
        insert: &InsertQuery,
        is_running: impl Fn(&str) -> bool,
    ) -> Result<Asked> {
        let sink = headwater_sql::binder::bare_name(&insert.sink)?;
        let base = format!("insert-into-{sink}");
        let settings = self.settings();
        let name = match (is_running(&base), &settings.checkpoint) {
            (false, _) => base,
            (true, None) => self.fresh_name(&base),
            // A number would depend on the order of the statements, and the next start would take
            // another query's checkpoint.
            (true, Some(_)) => {
                return Err(Error::plan(format!(
                    "another INSERT INTO \"{sink}\" is running, and with a checkpoint each query \
                     needs a name"
                ))
                .with_hint(format!(
                    "Write `CREATE STREAMING QUERY name AS INSERT INTO {sink} …`."
                )));
            }
        };
        let checkpoint = settings
            .checkpoint
            .as_ref()
            .map(|base| format!("{base}/{name}"));
        Ok(Asked {
            name,
            settings,
            checkpoint,
        })
    }

    pub(crate) async fn insert_request(
        &self,
        insert: &InsertQuery,
        asked: Asked,
    ) -> Result<StartRequest> {
        let bound = self.binder.bind_insert(insert).await?;
        Ok(Self::request_of(insert, bound, asked))
    }

    pub(crate) fn request_of(
        insert: &InsertQuery,
        bound: BoundInsert,
        asked: Asked,
    ) -> StartRequest {
        StartRequest {
            name: asked.name,
            is_named: true,
            sink_name: bound.sink.name.clone(),
            text: insert.text.clone(),
            span: Some(query_span(&insert.query)),
            plan: bound.plan,
            emit: bound.emit,
            sink: RequestedSink::Declared(bound.sink.declared),
            late_rows_into: insert.late_rows_into.as_ref().map(Into::into),
            settings: asked.settings,
            checkpoint: asked.checkpoint,
        }
    }

    async fn select(&self, select: &SelectQuery) -> Result<Outcome> {
        let plan = self.binder.bind_query(&select.query).await?;
        if !select.stream {
            refuse_streaming_clauses(select)?;
            return self.read_plan(plan).await.map(Outcome::Rows);
        }
        let name = self.fresh_name("select");
        let request = StartRequest {
            is_named: false,
            sink_name: "console".to_string(),
            text: select.text.clone(),
            span: Some(query_span(&select.query)),
            plan,
            emit: emit_of(select.emit.as_ref())?,
            sink: RequestedSink::Open(self.console_sink()?),
            late_rows_into: select.late_rows_into.as_ref().map(Into::into),
            settings: self.settings().unkept(),
            // Looking at a stream leaves nothing behind.
            checkpoint: None,
            name,
        };
        self.start_query(request).await.map(Outcome::Query)
    }

    /// A console sink as `CREATE SINK … WITH (connector = 'console', …)` would make it, with the
    /// options that the session has for it.
    pub(crate) fn console_sink(&self) -> Result<Arc<dyn headwater_core::sink::Sink>> {
        let definition = headwater_core::connector::SinkDefinition {
            name: "console".to_string(),
            schema: None,
            primary_key: vec![],
            partitioned_by: vec![],
            format: None,
            key_format: None,
        };
        let mut reader = OptionReader::new("sink \"console\"", &self.shared.select_stream);
        let connector = self.binder.catalog().connector("console")?;
        let declared = connector.declare_sink(definition, &mut reader)?;
        reader.finish()?;
        declared.open()
    }

    fn set_statement(&self, set: &SetOption) -> Result<Outcome> {
        let key = set.key.to_ascii_lowercase();
        let message = Outcome::Done(format!("{} = {}", set.key, set.value));
        if key.starts_with("datafusion.") {
            let state = self.context.state_ref();
            let mut state = state.write();
            state.config_mut().options_mut().set(&set.key, &set.value)?;
            return Ok(message);
        }
        self.set(&set.key, &set.value)
            .map_err(|e| e.with_span(Some(set.span)))?;
        Ok(message)
    }

    fn definition(&self, name: &Name) -> Result<CreateStreamingQuery> {
        let definitions = self.shared.definitions.lock();
        let found = definitions.get(&name.value).map(|d| d.create.clone());
        found.ok_or_else(|| {
            let known = definitions.keys().map(String::as_str);
            let error = Error::plan(format!("streaming query \"{}\" does not exist", name.value))
                .with_span(Some(name.span));
            match headwater_core::options::nearest(&name.value, known) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            }
        })
    }

    async fn drop_object(&self, kind: ObjectKind, name: &Name, if_exists: bool) -> Result<Outcome> {
        let (word, existed) = match kind {
            ObjectKind::Source => ("source", self.binder.drop_source(&name.value)?),
            ObjectKind::Sink => ("sink", self.binder.catalog().remove_sink(&name.value)),
            ObjectKind::Table => {
                let source = self.binder.drop_source(&name.value)?;
                (
                    "table",
                    self.binder.catalog().remove_sink(&name.value) || source,
                )
            }
            ObjectKind::StreamingQuery => {
                if let Some(query) = self.queries.by_name(&name.value).filter(|q| q.is_active()) {
                    query.stop().await?;
                }
                self.queries.forget(&name.value);
                let removed = self.shared.definitions.lock().remove(&name.value);
                ("streaming query", removed.is_some())
            }
        };
        if !existed && !if_exists {
            return Err(
                Error::plan(format!("{word} \"{}\" does not exist", name.value))
                    .with_span(Some(name.span)),
            );
        }
        Ok(done(word, name, "dropped"))
    }
}

/// Clauses that say something about a streaming query are refused in a bounded read.
pub(crate) fn refuse_streaming_clauses(select: &SelectQuery) -> Result<()> {
    if let Some(emit) = &select.emit {
        return Err(Error::plan("EMIT belongs to a streaming query")
            .with_hint("Write SELECT STREAM, or leave EMIT out.")
            .with_span(Some(emit.span)));
    }
    if let Some(late) = &select.late_rows_into {
        return Err(Error::plan("LATE ROWS INTO belongs to a streaming query")
            .with_detail("A bounded read waits for all rows, so none is late.")
            .with_hint("Write SELECT STREAM, or leave LATE ROWS INTO out.")
            .with_span(Some(late.span)));
    }
    Ok(())
}

/// The error at the statement it is about, if it is about what was written.
pub(crate) fn placed(error: Error, parsed: &ParsedStatement) -> Error {
    match error.kind() {
        ErrorKind::Syntax | ErrorKind::Plan | ErrorKind::Unsupported | ErrorKind::Configuration => {
            error.with_span(Some(parsed.span))
        }
        _ => error,
    }
}

fn done(kind: &str, name: &Name, what: &str) -> Outcome {
    Outcome::Done(format!("{kind} \"{}\" {what}", name.value))
}
