//! DataFusion's own statements: its tables beside the declared sources and sinks, and what they may
//! read of the sources.

use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::{
    self, CreateMemoryTable, DdlStatement, Expr, LogicalPlan, LogicalPlanBuilder,
};
use datafusion::sql::parser::Statement as DFStatement;

use headwater_core::{Error, Result};
use headwater_plan::reads_sources;
use headwater_sql::binder::dropped_table;

use crate::outcome::{Outcome, Rows};
use crate::session::Headwater;

impl Headwater {
    /// Runs a statement that is not headwater's.
    ///
    /// # Errors
    /// What DataFusion says, or what it would do wrongly.
    #[expect(
        clippy::disallowed_methods,
        reason = "the façade is the one place that hands DataFusion's own statements to DataFusion"
    )]
    pub(crate) async fn datafusion(&self, statement: &DFStatement) -> Result<Outcome> {
        if let Some(name) = dropped_table(statement)
            && self.binder.catalog().contains(&name)
        {
            self.binder.drop_source(&name)?;
            self.binder.catalog().remove_sink(&name);
            return Ok(Outcome::Done(format!("table \"{name}\" dropped")));
        }
        let plan = self.binder.bind_statement(statement).await?;
        match plan {
            LogicalPlan::Statement(ref statement) if is_of_memory(statement) => {
                return Err(Error::unsupported(format!(
                    "setting \"{MEMORY_OF_DATAFUSION}\" is not there: all queries have one account"
                ))
                .with_hint("Write SET 'memory-limit' = '256 MB', or 'none'."));
            }
            LogicalPlan::Dml(_) if has_subquery(&plan) => return Err(subquery_in_change()),
            // What reads a source is a bounded read; DataFusion alone cannot run one.
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table))
                if reads_sources(&table.input) =>
            {
                return self.create_table_from_sources(table).await;
            }
            LogicalPlan::Copy(_) if reads_sources(&plan) => {
                return self.read_plan(plan).await.map(Outcome::Rows);
            }
            _ => {}
        }
        let frame = self.context.execute_logical_plan(plan).await?;
        let plan = frame.logical_plan().clone();
        if plan.schema().fields().is_empty() {
            frame.collect().await?;
            return Ok(Outcome::Done("done".to_string()));
        }
        Ok(Outcome::Rows(Rows::new(
            frame.execute_stream().await?,
            vec![],
        )))
    }

    /// `CREATE TABLE … AS` over a bounded read: the rows are read, and stay.
    ///
    /// # Errors
    /// That the table exists, before anything is read, or what goes wrong while rows are read.
    async fn create_table_from_sources(&self, table: CreateMemoryTable) -> Result<Outcome> {
        let name = &table.name;
        if self.context.table_exist(name.clone())? {
            if table.if_not_exists {
                return Ok(Outcome::Done(format!("table \"{name}\" exists already")));
            }
            if !table.or_replace {
                return Err(Error::plan(format!("table \"{name}\" exists already"))
                    .with_hint("Choose another name, or write CREATE OR REPLACE."));
            }
        }
        let mut rows = self.read_plan(table.input.as_ref().clone()).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        let count: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        let bad: u64 = rows.bad_records().iter().map(|(_, _, n)| n).sum();
        let mut done = format!("table \"{name}\" created, rows: {count}");
        if bad > 0 {
            done.push_str(&format!(", bad records: {bad}"));
        }
        let read = MemTable::try_new(rows.schema(), vec![batches])?;
        self.create_table(table, read).await?;
        Ok(Outcome::Done(done))
    }

    /// Runs a statement that makes names known, without a row of what it reads: a table that is
    /// made from others, or from sources, has their columns and is empty.
    ///
    /// # Errors
    /// As the statement itself.
    pub(crate) async fn declare(&self, statement: &DFStatement) -> Result<()> {
        if let LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table)) =
            self.binder.bind_statement(statement).await?
            && has_scan(&table.input)
        {
            let columns = Arc::clone(table.input.schema().inner());
            let nothing = MemTable::try_new(columns, vec![vec![]])?;
            return self.create_table(table, nothing).await;
        }
        self.datafusion(statement).await.map(|_| ())
    }

    /// Makes a table of rows that are there already.
    #[expect(
        clippy::disallowed_methods,
        reason = "the table itself is DataFusion's to make"
    )]
    async fn create_table(&self, table: CreateMemoryTable, rows: MemTable) -> Result<()> {
        let input = scan_of(table.name.clone(), rows)?;
        let table = CreateMemoryTable { input, ..table };
        let plan = LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(table));
        self.context.execute_logical_plan(plan).await?;
        Ok(())
    }
}

fn scan_of(name: TableReference, table: MemTable) -> Result<Arc<LogicalPlan>> {
    let table = provider_as_source(Arc::new(table));
    let scan = LogicalPlanBuilder::scan(name, table, None)?.build()?;
    Ok(Arc::new(scan))
}

/// Whether a plan reads a table or a source, in a subquery too.
fn has_scan(plan: &LogicalPlan) -> bool {
    let mut found = false;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn has_subquery(plan: &LogicalPlan) -> bool {
    let is_subquery = |expr: &Expr| {
        matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)
        )
    };
    let mut found = false;
    // The closures never fail, so neither do the walks.
    let _ = plan.apply(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(is_subquery(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// DataFusion loses the condition of such a statement and would change every row.
fn subquery_in_change() -> Error {
    Error::unsupported("UPDATE and DELETE with a subquery are not there yet").with_hint(
        "Write the rows that stay into another table: CREATE TABLE … AS SELECT … WHERE ….",
    )
}

/// DataFusion's setting of how much memory its operators may hold.
const MEMORY_OF_DATAFUSION: &str = "datafusion.runtime.memory_limit";

/// Whether a statement would put another account in the place of the session's.
fn is_of_memory(statement: &logical_expr::Statement) -> bool {
    let variable = match statement {
        logical_expr::Statement::SetVariable(set) => &set.variable,
        logical_expr::Statement::ResetVariable(reset) => &reset.variable,
        _ => return false,
    };
    variable.eq_ignore_ascii_case(MEMORY_OF_DATAFUSION)
}
