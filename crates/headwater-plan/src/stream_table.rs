//! A declared source as a DataFusion table: the adapter between the catalog and the epoch scan.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, internal_datafusion_err};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;

use headwater_core::connector::{DeclaredSource, SourceUse};
use headwater_core::format::BadDataPolicy;
use headwater_core::id::SourceIndex;
use headwater_core::type_name::stored_type_name;
use headwater_core::watermark::WatermarkSpec;
use headwater_exec::epoch_scan::{EpochScanExec, EventTimeColumn, ReadUntil, ScanSpec};

use crate::scan_bounds::bounds_of;

/// Where a table column comes from.
#[derive(Debug, Clone)]
pub enum TableColumn {
    /// A column of the source, by position in [`DeclaredSource::schema`].
    Source(usize),
    /// Computed from source columns, which the expression names without a qualifier.
    Generated(Expr),
}

/// A source as the catalog holds it.
#[derive(Debug, Clone)]
pub struct StreamDefinition {
    /// The user's name of it.
    pub name: String,
    /// Name of its connector.
    pub connector: String,
    /// Opens it.
    pub declared: Arc<dyn DeclaredSource>,
    /// Columns as users see them; the event-time column is marked.
    pub schema: SchemaRef,
    /// Where each column comes from.
    pub columns: Vec<TableColumn>,
    /// What is said about event time.
    pub watermark: Option<WatermarkSpec>,
    /// What happens to bad records.
    pub bad_data: BadDataPolicy,
    /// The sink that [`BadDataPolicy::DeadLetter`] writes them to.
    pub dead_letter_sink: Option<String>,
}

impl StreamDefinition {
    /// What a query that is resumed depends on, by name: what the offsets count, the columns, the
    /// event time. What happens to bad records, how late rows may be and how they are decoded may
    /// change: it concerns rows that have not been read yet.
    pub fn identity(&self) -> BTreeMap<String, String> {
        let event_time = self.watermark.as_ref().map(|w| w.column.clone());
        let mut parts = BTreeMap::from([
            ("connector".to_string(), self.connector.clone()),
            (
                "event time".to_string(),
                event_time.unwrap_or_else(|| "none".to_string()),
            ),
        ]);
        let own = self.declared.identity();
        parts.extend(
            own.into_iter()
                .map(|(name, value)| (name.to_string(), value)),
        );
        for (field, column) in self.schema.fields().iter().zip(&self.columns) {
            let value = match column {
                TableColumn::Source(_) => stored_type_name(field.data_type()),
                TableColumn::Generated(expr) => {
                    format!("{} AS {expr}", stored_type_name(field.data_type()))
                }
            };
            parts.insert(format!("column \"{}\"", field.name()), value);
        }
        parts
    }
}

/// A reference to a source in a plan.
#[derive(Debug, Clone)]
pub struct StreamTable {
    /// The source.
    pub definition: Arc<StreamDefinition>,
    /// Its position among the sources of the query; `None` until the plan is numbered.
    pub index: Option<SourceIndex>,
    /// How the query reads it.
    pub use_of: SourceUse,
}

impl StreamTable {
    /// A table that is not part of a query yet.
    pub fn new(definition: Arc<StreamDefinition>) -> Self {
        StreamTable {
            definition,
            index: None,
            use_of: SourceUse::Stream,
        }
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.definition.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A bounded read may leave out what filters would leave out. In an epoch nothing is left out: what
    /// was read is noted by offsets alone.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = match self.use_of {
            SourceUse::BoundedRead => TableProviderFilterPushDown::Inexact,
            SourceUse::Stream => TableProviderFilterPushDown::Unsupported,
        };
        Ok(vec![answer; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = self.index.ok_or_else(|| {
            internal_datafusion_err!(
                "source {} was scanned outside a query",
                self.definition.name
            )
        })?;
        let all: Vec<usize> = (0..self.definition.columns.len()).collect();
        let wanted = projection.unwrap_or(&all);
        let mut spec = self.scan_spec(source, wanted, filters, session)?;
        let mut readers = session.config().target_partitions();
        // An epoch reads all of its slice: what was read is noted by offsets alone.
        if let (Some(rows), SourceUse::BoundedRead) = (limit, self.use_of) {
            spec.until = ReadUntil::Rows(rows);
            // Several readers would each read so many rows, and all but one for nothing.
            if rows <= session.config().batch_size() {
                readers = 1;
            }
        }
        Ok(Arc::new(EpochScanExec::new(spec, readers)))
    }
}

impl StreamTable {
    fn scan_spec(
        &self,
        source: SourceIndex,
        wanted: &[usize],
        filters: &[Expr],
        session: &dyn Session,
    ) -> Result<ScanSpec> {
        let definition = &self.definition;
        let names = definition.schema.fields().iter().map(|f| f.name().as_str());
        let table_columns: BTreeMap<&str, &TableColumn> = names.zip(&definition.columns).collect();
        let event_time = match &definition.watermark {
            Some(spec) => Some((definition.schema.index_of(&spec.column)?, spec)),
            None => None,
        };
        let mut projection: Vec<usize> = Vec::new();
        for column in wanted
            .iter()
            .copied()
            .chain(event_time.map(|(index, _)| index))
        {
            self.add_needed(column, &mut projection)?;
        }
        let read = Arc::new(definition.declared.schema().project(&projection)?);
        let columns = wanted
            .iter()
            .map(|column| self.physical(*column, &projection, &read, session))
            .collect::<Result<Vec<_>>>()?;
        let event_time = match event_time {
            Some((column, spec)) => Some(EventTimeColumn {
                expr: self.physical(column, &projection, &read, session)?,
                name: spec.column.clone(),
            }),
            None => None,
        };
        let name = definition.name.clone();
        let schema = Arc::new(definition.schema.project(wanted)?);
        Ok(ScanSpec {
            source,
            name,
            projection,
            columns,
            schema,
            event_time,
            bad_data: definition.bad_data,
            bounds: bounds_of(filters, &table_columns),
            until: ReadUntil::End,
        })
    }

    fn add_needed(&self, column: usize, projection: &mut Vec<usize>) -> Result<()> {
        let mut add = |index: usize| {
            if !projection.contains(&index) {
                projection.push(index);
            }
        };
        match self.definition.columns.get(column) {
            Some(TableColumn::Source(index)) => add(*index),
            Some(TableColumn::Generated(expr)) => {
                let source = self.definition.declared.schema();
                for column in expr.column_refs() {
                    add(source.index_of(&column.name)?);
                }
            }
            None => return Err(internal_datafusion_err!("no column {column}")),
        }
        Ok(())
    }

    fn physical(
        &self,
        column: usize,
        projection: &[usize],
        read: &Schema,
        session: &dyn Session,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match self.definition.columns.get(column) {
            Some(TableColumn::Source(index)) => {
                let at = projection.iter().position(|p| p == index);
                let at =
                    at.ok_or_else(|| internal_datafusion_err!("column {index} is not read"))?;
                Ok(Arc::new(Column::new(read.field(at).name(), at)))
            }
            Some(TableColumn::Generated(expr)) => {
                let schema = DFSchema::try_from(read.clone())?;
                session.create_physical_expr(expr.clone(), &schema)
            }
            None => Err(internal_datafusion_err!("no column {column}")),
        }
    }
}

/// Whether a type can be an event time.
pub fn is_event_time_type(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _))
}
