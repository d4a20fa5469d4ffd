//! SHOW and DESCRIBE: what the session holds, as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::sql::sqlparser::ast::ObjectName;

use headwater_core::secret::hide_in_sql;
use headwater_core::{Error, Result};
use headwater_engine::QueryState;
use headwater_sql::ast::ObjectKind;
use headwater_sql::binder::bare_name;
use headwater_sql::column_text::type_text;

use crate::outcome::{Outcome, Rows};
use crate::session::Headwater;

impl Headwater {
    pub(crate) fn show(&self, kind: ObjectKind) -> Result<Outcome> {
        let catalog = self.binder.catalog();
        match kind {
            ObjectKind::Source => {
                let sources = catalog.sources();
                let rows = sources.iter().map(|s| {
                    let watermark = s.definition.watermark.as_ref().map(|w| w.column.clone());
                    [
                        Some(s.definition.name.clone()),
                        Some(s.definition.connector.clone()),
                        watermark,
                    ]
                });
                text_rows(["name", "connector", "watermark"], rows)
            }
            ObjectKind::Sink => {
                let sinks = catalog.sinks();
                let rows = sinks
                    .iter()
                    .map(|s| [Some(s.name.clone()), Some(s.connector.clone())]);
                text_rows(["name", "connector"], rows)
            }
            ObjectKind::Table => {
                let (sources, sinks) = (catalog.sources(), catalog.sinks());
                let sources = sources.iter().map(|s| (&s.definition.name, "source"));
                let all = sources.chain(sinks.iter().map(|s| (&s.name, "sink")));
                text_rows(
                    ["name", "kind"],
                    all.map(|(n, k)| [Some(n.clone()), Some(k.into())]),
                )
            }
            ObjectKind::StreamingQuery => {
                let queries = self.queries.all();
                let rows = queries.iter().map(|q| {
                    let status = q.status();
                    let state = match status.state {
                        QueryState::Running | QueryState::Waiting => "running",
                        QueryState::Stopped => "stopped",
                        QueryState::Failed => "failed",
                    };
                    let last = status.last_progress.as_ref();
                    [
                        Some(q.name().to_string()),
                        Some(state.to_string()),
                        last.map(|p| p.epoch.to_string()),
                        Some(status.totals.rows_in.to_string()),
                        Some(status.totals.rows_out.to_string()),
                        last.map(|p| p.watermark.to_string()),
                        q.exception().map(|e| e.message().to_string()),
                    ]
                });
                let names = [
                    "name",
                    "state",
                    "epoch",
                    "rows_in",
                    "rows_out",
                    "watermark",
                    "error",
                ];
                text_rows(names, rows)
            }
        }
    }

    pub(crate) fn show_create(&self, kind: ObjectKind, name: &ObjectName) -> Result<Outcome> {
        let name = bare_name(name)?;
        let catalog = self.binder.catalog();
        let source = || catalog.source(&name).map(|s| s.text);
        let sink = || catalog.sink(&name).ok().map(|s| s.text);
        let query = || {
            self.shared
                .definitions
                .lock()
                .get(&name)
                .map(|q| q.text.clone())
        };
        let (word, text) = match kind {
            ObjectKind::Source => ("source", source()),
            ObjectKind::Sink => ("sink", sink()),
            ObjectKind::Table => ("table", source().or_else(sink)),
            ObjectKind::StreamingQuery => ("streaming query", query()),
        };
        let text = text.ok_or_else(|| Error::plan(format!("{word} \"{name}\" does not exist")))?;
        text_rows(["statement"], [[Some(hide_in_sql(&text))]].into_iter())
    }

    pub(crate) async fn describe(&self, name: &ObjectName) -> Result<Outcome> {
        let bare = bare_name(name)?;
        if let Ok(sink) = self.binder.catalog().sink(&bare)
            && self.binder.catalog().source(&bare).is_none()
        {
            let Some(schema) = sink.schema else {
                return Err(Error::plan(format!(
                    "sink \"{bare}\" takes the columns it is given"
                )));
            };
            return describe_fields(&schema);
        }
        let table = self.context.table_provider(bare.as_str()).await?;
        describe_fields(&table.schema())
    }
}

fn describe_fields(schema: &arrow::datatypes::Schema) -> Result<Outcome> {
    let rows = schema.fields().iter().map(|field| {
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        [
            Some(field.name().clone()),
            Some(type_text(field.data_type())),
            Some(nullable.to_string()),
        ]
    });
    text_rows(["column", "type", "nullable"], rows)
}

fn text_rows<const N: usize>(
    names: [&str; N],
    rows: impl Iterator<Item = [Option<String>; N]>,
) -> Result<Outcome> {
    let rows: Vec<_> = rows.collect();
    let column = |i: usize| -> ArrayRef {
        let values = rows.iter().map(|row| row.get(i).cloned().flatten());
        Arc::new(values.collect::<StringArray>())
    };
    let columns = names
        .iter()
        .enumerate()
        .map(|(i, name)| (*name, column(i), true));
    Ok(Outcome::Rows(Rows::of(
        RecordBatch::try_from_iter_with_nullable(columns)?,
    )))
}
