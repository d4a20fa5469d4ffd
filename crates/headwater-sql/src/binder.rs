//! Statements to what they mean: declarations to catalog entries, queries to logical plans.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::datasource::TableProvider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableType};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectType, Query, Spanned, Statement as SqlStatement,
};

use headwater_core::error::Span;
use headwater_core::mode::OutputMode;
use headwater_core::{Error, Result};
use headwater_plan::stream_plan::Emit;
use headwater_plan::{StreamTable, on_large_stack, refuse_deep_plan};

use crate::ast::{EmitClause, EmitMode, InsertQuery, Name, TableDeclaration, span_from_tokens};
use crate::catalog::{Catalog, SinkEntry, SourceEntry};
use crate::declare::{declare_sink, declare_source};
use crate::from_unknown::{explain_missing_table, refuse_unknown_functions};
use crate::functions::{placed_at_call, register_functions};
use crate::insert_columns::fit;
use crate::insert_names::name_apart;
use crate::parser::{
    name_fields, name_statement_fields, refuse_group_windows, rewrite_field_access,
    rewrite_json_arrows, rewrite_statement_field_access, rewrite_statement_json_arrows,
    rewrite_statement_windows, rewrite_windows,
};
use crate::relation_planner::WindowRelationPlanner;
use crate::struct_wildcards::expand_struct_wildcards;
use crate::with_tables::{refuse_many_tables, refuse_many_tables_of};

/// Binds statements in one session.
#[derive(Clone)]
pub struct Binder {
    session: SessionContext,
    catalog: Catalog,
}

/// An INSERT whose query is planned and fits its sink.
#[derive(Debug, Clone)]
pub struct BoundInsert {
    /// Where the rows go.
    pub sink: SinkEntry,
    /// The query, with the sink's column names and types if it declares them.
    pub plan: LogicalPlan,
    /// The EMIT clause.
    pub emit: Emit,
}

impl std::fmt::Debug for Binder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Binder")
            .field("catalog", &self.catalog)
            .finish_non_exhaustive()
    }
}

impl Binder {
    /// A binder; teaches the session headwater's window functions and functions of payloads.
    ///
    /// # Errors
    /// If the session refuses the planner.
    pub fn try_new(session: SessionContext, catalog: Catalog) -> Result<Self> {
        session.register_relation_planner(Arc::new(WindowRelationPlanner))?;
        register_functions(&session)?;
        Ok(Binder { session, catalog })
    }

    /// The catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The session as it is now.
    pub fn state(&self) -> SessionState {
        self.session.state()
    }

    /// Declares a source; it becomes a table that queries can name.
    ///
    /// # Errors
    /// What is wrong with the declaration, or that the name is taken.
    pub fn create_source(&self, declaration: &TableDeclaration, text: &str) -> Result<()> {
        if !self.may_create("source", declaration)? {
            return Ok(());
        }
        let entry = declare_source(declaration, &self.catalog, &self.state(), text)?;
        let name = TableReference::bare(entry.definition.name.as_str());
        let table: Arc<dyn TableProvider> =
            Arc::new(StreamTable::new(Arc::clone(&entry.definition)));
        self.session.deregister_table(name.clone())?;
        self.session.register_table(name, table)?;
        self.catalog.add_source(entry);
        Ok(())
    }

    /// Declares a sink.
    ///
    /// # Errors
    /// What is wrong with the declaration, or that the name is taken.
    pub fn create_sink(&self, declaration: &TableDeclaration, text: &str) -> Result<()> {
        if !self.may_create("sink", declaration)? {
            return Ok(());
        }
        let entry = declare_sink(declaration, &self.catalog, &self.state(), text)?;
        self.catalog.add_sink(entry);
        Ok(())
    }

    /// Makes a source out of its declaration without giving it a name in the catalog.
    ///
    /// # Errors
    /// What is wrong with the declaration.
    pub fn declare_source(
        &self,
        declaration: &TableDeclaration,
        text: &str,
    ) -> Result<SourceEntry> {
        declare_source(declaration, &self.catalog, &self.state(), text)
    }

    /// Makes a sink out of its declaration without giving it a name in the catalog.
    ///
    /// # Errors
    /// What is wrong with the declaration.
    pub fn declare_sink(&self, declaration: &TableDeclaration, text: &str) -> Result<SinkEntry> {
        declare_sink(declaration, &self.catalog, &self.state(), text)
    }

    /// Declares a table that may be read or written: as a source, a sink, or both, by what its
    /// connector can be. The option `type` decides it, and PARTITIONED BY makes it a sink.
    ///
    /// # Errors
    /// As [`Binder::create_source`] and [`Binder::create_sink`].
    pub fn create_connector_table(&self, declaration: &TableDeclaration, text: &str) -> Result<()> {
        let mut declaration = declaration.clone();
        let is_type = |(key, _): &(String, String)| key.eq_ignore_ascii_case("type");
        let position = declaration.options.iter().position(is_type);
        match position
            .map(|p| declaration.options.remove(p).1.to_ascii_lowercase())
            .as_deref()
        {
            Some("source") => self.create_source(&declaration, text),
            Some("sink") => self.create_sink(&declaration, text),
            Some(other) => Err(Error::configuration(format!(
                "option \"type\" of table \"{}\" is \"{other}\", not 'source' or 'sink'",
                declaration.name.value
            ))),
            None if !declaration.partitioned_by.is_empty() => self.create_sink(&declaration, text),
            None => self.create_either(&declaration, text),
        }
    }

    fn create_either(&self, declaration: &TableDeclaration, text: &str) -> Result<()> {
        if !self.may_create("table", declaration)? {
            return Ok(());
        }
        let state = self.state();
        let source = declare_source(declaration, &self.catalog, &state, text);
        let sink = declare_sink(declaration, &self.catalog, &state, text);
        if source.is_err() && sink.is_err() {
            // The declaration is wrong as both; what is wrong with it as a source says more.
            return source.map(|_| ());
        }
        if sink.is_ok() {
            self.create_sink(
                &TableDeclaration {
                    or_replace: true,
                    ..declaration.clone()
                },
                text,
            )?;
        }
        if source.is_ok() {
            self.create_source(
                &TableDeclaration {
                    or_replace: true,
                    ..declaration.clone()
                },
                text,
            )?;
        }
        Ok(())
    }

    /// Whether a table is to be declared: not if it exists and the declaration leaves it then.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn may_create(&self, kind: &str, declaration: &TableDeclaration) -> Result<bool> {
        let name = &declaration.name;
        let is_table = self
            .session
            .table_exist(TableReference::bare(name.value.as_str()))?;
        let is_ours = self.catalog.contains(&name.value);
        if declaration.or_replace && (is_ours || !is_table) {
            return Ok(true);
        }
        if !is_table && !is_ours {
            return Ok(true);
        }
        if declaration.if_not_exists {
            return Ok(false);
        }
        Err(
            Error::plan(format!("{kind} \"{}\" exists already", name.value))
                .with_hint("Choose another name, or write CREATE OR REPLACE.")
                .with_span(Some(name.span)),
        )
    }

    /// Drops a source; whether there was one.
    ///
    /// # Errors
    /// If the session refuses.
    pub fn drop_source(&self, name: &str) -> Result<bool> {
        if !self.catalog.remove_source(name) {
            return Ok(false);
        }
        self.session.deregister_table(TableReference::bare(name))?;
        Ok(true)
    }

    /// Plans a query.
    ///
    /// # Errors
    /// What DataFusion's planner or a window function says.
    pub async fn bind_query(&self, query: &Query) -> Result<LogicalPlan> {
        on_large_stack(async {
            refuse_group_windows(query)?;
            refuse_many_tables(query)?;
            refuse_unknown_functions(query, &self.state())?;
            let mut rewritten = query.clone();
            rewrite_windows(&mut rewritten)?;
            name_fields(&mut rewritten);
            rewrite_json_arrows(&mut rewritten);
            rewrite_field_access(&mut rewritten);
            expand_struct_wildcards(&mut rewritten, &self.state()).await;
            let statement = SqlStatement::Query(Box::new(rewritten));
            let statement = DFStatement::Statement(Box::new(statement));
            let plan = self.state().statement_to_plan(statement).await;
            let plan = plan.map_err(|e| self.explained(placed_at_call(e.into(), query)))?;
            // Before anything else walks over it.
            refuse_deep_plan(&plan)?;
            Ok(plan)
        })
        .await
    }

    /// Plans a statement of DataFusion's, such as a view. It may not be deeper than what is run.
    ///
    /// # Errors
    /// What DataFusion's planner says.
    pub async fn bind_statement(&self, statement: &DFStatement) -> Result<LogicalPlan> {
        on_large_stack(async {
            refuse_many_tables_of(statement)?;
            if let DFStatement::Statement(statement) = statement {
                refuse_unknown_functions(statement.as_ref(), &self.state())?;
            }
            let mut rewritten = statement.clone();
            rewrite_statement_windows(&mut rewritten)?;
            name_statement_fields(&mut rewritten);
            rewrite_statement_json_arrows(&mut rewritten);
            rewrite_statement_field_access(&mut rewritten);
            if let DFStatement::Statement(statement) = &mut rewritten {
                expand_struct_wildcards(statement.as_mut(), &self.state()).await;
            }
            let plan = self.state().statement_to_plan(rewritten).await;
            let plan = plan.map_err(|e| {
                self.explained(match statement {
                    DFStatement::Statement(statement) => {
                        placed_at_call(e.into(), statement.as_ref())
                    }
                    _ => e.into(),
                })
            })?;
            refuse_deep_plan(&plan)?;
            Ok(plan)
        })
        .await
    }

    fn explained(&self, error: Error) -> Error {
        explain_missing_table(error, &self.catalog, &self.state())
    }

    /// A sink by name; a table of DataFusion's is told as what it is.
    async fn sink(&self, name: &str) -> Result<SinkEntry> {
        let sink = self.catalog.sink(name);
        if sink.is_ok() || self.catalog.contains(name) {
            return sink;
        }
        let table = TableReference::bare(name);
        if !self.session.table_exist(table.clone())? {
            return sink;
        }
        let kind = match self.session.table_provider(table).await?.table_type() {
            TableType::View => "view",
            TableType::Base | TableType::Temporary => "table",
        };
        Err(
            Error::plan(format!("\"{name}\" is a {kind} and cannot be written")).with_hint(
                "INSERT writes to what CREATE SINK declares; a table has the rows with which it \
                 is made, by CREATE TABLE … AS.",
            ),
        )
    }

    /// Plans an INSERT into a sink.
    ///
    /// # Errors
    /// If the sink is unknown, or the query's columns do not fit it.
    pub async fn bind_insert(&self, insert: &InsertQuery) -> Result<BoundInsert> {
        let name = bare_name(&insert.sink)?;
        let sink = self.sink(&name).await;
        let sink = sink.map_err(|e| e.with_span(Some(span_from_tokens(insert.sink.span()))))?;
        let plan = match sink.schema {
            Some(_) => {
                let mut query = insert.query.clone();
                name_apart(&mut query);
                self.bind_query(&query).await?
            }
            None => self.bind_query(&insert.query).await?,
        };
        let plan = fit(plan, &sink, insert)?;
        Ok(BoundInsert {
            sink,
            plan,
            emit: emit_of(insert.emit.as_ref())?,
        })
    }
}

/// The one bare name that a `DROP TABLE` statement names.
pub fn dropped_table(statement: &DFStatement) -> Option<String> {
    let DFStatement::Statement(statement) = statement else {
        return None;
    };
    let SqlStatement::Drop {
        object_type: ObjectType::Table,
        names,
        ..
    } = statement.as_ref()
    else {
        return None;
    };
    match names.as_slice() {
        [name] => bare_name(name).ok(),
        _ => None,
    }
}

/// Where a query stands.
pub fn query_span(query: &Query) -> Span {
    span_from_tokens(query.span())
}

/// The EMIT clause as the planner knows it.
///
/// # Errors
/// If it asks for a changelog, which is not there yet.
pub fn emit_of(clause: Option<&EmitClause>) -> Result<Emit> {
    let Some(clause) = clause else {
        return Ok(Emit::Default);
    };
    Ok(match clause.mode {
        EmitMode::OnWindowClose | EmitMode::Final => Emit::Mode(OutputMode::Append),
        EmitMode::OnUpdate => Emit::Mode(OutputMode::Update),
        EmitMode::Complete => Emit::Mode(OutputMode::Complete),
        EmitMode::PerEpoch => Emit::PerEpoch,
        EmitMode::Changes => {
            return Err(Error::unsupported("EMIT CHANGES is not there yet")
                .with_hint("Use EMIT ON UPDATE: the new rows without the old ones.")
                .with_span(Some(clause.span)));
        }
    })
}

/// A name without catalog and schema.
///
/// # Errors
/// If it has one: sources and sinks live in one space of names.
pub fn bare_name(name: &ObjectName) -> Result<String> {
    match name.0.as_slice() {
        [part] => match part.as_ident() {
            Some(ident) => Ok(Name::from_ident(ident).value),
            None => Err(Error::plan(format!("\"{name}\" is not a name"))),
        },
        _ => Err(Error::plan(format!(
            "\"{name}\" has a schema, and sources and sinks have none"
        ))),
    }
}
