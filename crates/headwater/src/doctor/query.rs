//! What the doctor finds out about a streaming query: whether it can be planned, and whether it can
//! go on from its checkpoint.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use headwater_checkpoint::inspection::{FileCheck, FileWorth, verify_within};
use headwater_checkpoint::{
    FileStore, OnStateChange, SideOutput, folder_of, open_store, query_metadata,
};
use headwater_core::{Error, Result};
use headwater_engine::{Preview, QueryOutline, SideIdentities};
use headwater_plan::StreamPlan;
use headwater_sql::ast::InsertQuery;

use super::{Doctor, Reader, Verdict};
use crate::start::{
    Asked, absolute, check_name, check_restarts, check_without_checkpoint, mode_request,
    shared_checkpoint, state_with,
};

/// No more of the state than this is read.
const STATE_BYTES_READ: u64 = 256 << 20;

/// A query as it would start.
struct PlannedQuery {
    name: String,
    text: String,
    plan: StreamPlan,
    sink: Vec<(&'static str, String)>,
    /// What its sinks for late rows and dead letters say of themselves.
    beside: SideIdentities,
    shard_count: usize,
    on_state_change: OnStateChange,
}

impl Doctor<'_> {
    /// Plans a query, and looks at its checkpoint, whatever is wrong with the one or the other.
    pub(super) async fn query(&mut self, asked: Result<Asked>, insert: &InsertQuery) -> Result<()> {
        let asked = asked?;
        let name = asked.name.clone();
        let object = format!("query \"{name}\"");
        let mut store = None;
        match asked.checkpoint.as_deref().map(folder_of) {
            Some(Err(error)) => self.fail(&object, "checkpoint", &error),
            Some(Ok(folder)) => {
                let folder = absolute(folder);
                store = self.checkpoint(&object, &name, &folder);
            }
            None => self.no_checkpoint(&object, &asked),
        }
        let planned = self.planned(asked, insert, store.as_ref()).await;
        let planned = match planned {
            Ok(planned) => {
                let mode = planned.plan.mode;
                self.tell(&object, "plan", Verdict::Ok, format!("{mode} mode"));
                for warning in &planned.plan.warnings {
                    self.tell(&object, "plan", Verdict::Warn, warning.clone());
                }
                Some(planned)
            }
            Err(error) => {
                self.fail(&object, "plan", &error);
                None
            }
        };
        let mut preview = None;
        if let Some(store) = store {
            if let Some(planned) = &planned {
                preview = self.resume(&object, Arc::clone(&store), planned).await;
            }
            self.files(&object, store).await;
        }
        self.note_readers(&name, planned.as_ref(), preview.as_ref());
        Ok(())
    }

    fn no_checkpoint(&mut self, object: &str, asked: &Asked) {
        if let Err(error) = check_without_checkpoint(&asked.name, &asked.settings) {
            return self.fail(object, "checkpoint", &error);
        }
        let found = "none: a restart begins anew".to_string();
        self.tell(object, "checkpoint", Verdict::Warn, found);
        self.advise("Name a folder with `checkpoint` if the result must survive a restart.");
    }

    /// Looks at the folder of a checkpoint; gives the store if there is one.
    fn checkpoint(
        &mut self,
        object: &str,
        name: &str,
        folder: &Path,
    ) -> Option<Arc<dyn FileStore>> {
        let other = self.checkpoints.get(folder).filter(|other| *other != name);
        if let Some(other) = other {
            let error = shared_checkpoint(name, other, folder);
            self.fail(object, "checkpoint", &error);
            return None;
        }
        self.checkpoints
            .insert(folder.to_path_buf(), name.to_string());
        self.disk(object, folder);
        self.lock(
            object,
            folder,
            "Stop that process, or give this query a checkpoint folder of its own.",
        );
        // Opening a store would make its folder.
        if !folder.is_dir() {
            return None;
        }
        match open_store(&folder.display().to_string()) {
            Ok(store) => Some(store),
            Err(error) => {
                self.fail(object, "checkpoint", &error);
                None
            }
        }
    }

    /// Plans a query for its sink, with the shards of its checkpoint.
    async fn planned(
        &self,
        asked: Asked,
        insert: &InsertQuery,
        store: Option<&Arc<dyn FileStore>>,
    ) -> Result<PlannedQuery> {
        check_name(&asked.name)?;
        check_restarts(&asked.name, &asked.settings)?;
        let request = self.session.insert_request(insert, asked).await?;
        // Damaged metadata are told where they are compared.
        let stored = store.and_then(|store| query_metadata::load(&**store).ok().flatten());
        let shard_count = match stored {
            Some(stored) => stored.shard_count as usize,
            None => self.session.environment_now().target_partitions(),
        };
        let state = state_with(self.session.binder.state(), shard_count);
        let capabilities = request.sink.capabilities()?;
        let sink = &request.sink_name;
        let modes = mode_request(request.emit, &request.settings, sink, capabilities);
        let into = request.late_rows_into.as_ref();
        let planned = self
            .session
            .compile(&state, request.plan, modes, into)
            .await?;
        let late = planned.late_rows.iter();
        let late = late.map(|(sink, _)| (SideOutput::LateRows, sink));
        let dead = planned.dead_letters.iter().map(|dead| &dead.sink);
        let dead = dead.map(|sink| (SideOutput::DeadLetters(sink.name.clone()), sink));
        let mut beside = SideIdentities::new();
        for (output, sink) in late.chain(dead) {
            let parts = sink.declared.identity()?.into_iter();
            let parts = parts.map(|(part, value)| (part.to_string(), value));
            beside.insert(output, parts.collect());
        }
        Ok(PlannedQuery {
            name: request.name,
            text: request.text,
            plan: planned.plan,
            sink: request.sink.identity()?,
            beside,
            shard_count,
            on_state_change: request.settings.on_state_change,
        })
    }

    /// Compares a query with its checkpoint, as a start does.
    async fn resume(
        &mut self,
        object: &str,
        store: Arc<dyn FileStore>,
        query: &PlannedQuery,
    ) -> Option<Arc<Preview>> {
        let outline = QueryOutline {
            name: &query.name,
            sql: &query.text,
            plan: &query.plan,
            sink: query.sink.clone(),
            shard_count: query.shard_count,
        };
        match Preview::of(store, &outline, &query.beside, query.on_state_change).await {
            Err(error) => {
                self.fail(object, "resume", &error);
                None
            }
            Ok(None) => {
                let found = "nothing is kept there: it begins anew".to_string();
                self.tell(object, "resume", Verdict::Ok, found);
                None
            }
            Ok(Some(preview)) => {
                self.tell_preview(object, &preview);
                Some(Arc::new(preview))
            }
        }
    }

    fn tell_preview(&mut self, object: &str, preview: &Preview) {
        let mut found = match preview.last_committed() {
            Some(epoch) => format!("it goes on after epoch {epoch}"),
            None => "it goes on before its first epoch".to_string(),
        };
        if preview.pending() > 0 {
            let pending = preview.pending();
            found.push_str(&format!("; epochs decided and not committed: {pending}"));
        }
        self.tell(object, "resume", Verdict::Ok, found);
        if let Some(change) = preview.change() {
            let changed = change.in_words.join(", ");
            let dropped: Vec<&str> = change.dropped.iter().map(|id| id.as_str()).collect();
            let found = match dropped.as_slice() {
                [] => format!("it goes on although it has changed: {changed}"),
                dropped => format!(
                    "it goes on without the state of {}, because it has changed: {changed}",
                    dropped.join(", ")
                ),
            };
            self.tell(object, "resume", Verdict::Warn, found);
        }
    }

    /// Reads the files of a checkpoint, up to a bound.
    async fn files(&mut self, object: &str, store: Arc<dyn FileStore>) {
        let look = move || match query_metadata::load(&*store) {
            Ok(None) => Ok(None),
            _ => verify_within(&store, STATE_BYTES_READ).map(Some),
        };
        let looked = SpawnedTask::spawn_blocking(look).join_unwind().await;
        let looked = looked.map_err(|e| Error::internal(e.to_string()));
        let found = match looked.and_then(|found| found) {
            Err(error) => return self.fail(object, "files", &error),
            Ok(None) => return,
            Ok(Some(found)) => found,
        };
        let damaged = |file: &&FileCheck| file.damage.is_some();
        let count = |worth: fn(FileWorth) -> bool| {
            let damaged = found.files.iter().filter(damaged);
            damaged.filter(|file| worth(file.worth)).count()
        };
        let (needed, rest) = (
            count(|worth| worth == FileWorth::Needed),
            count(|worth| worth != FileWorth::Needed),
        );
        let mut text = format!("{} read", found.files.len());
        match (needed, rest) {
            (0, 0) => text.push_str(", all whole"),
            (0, rest) => text.push_str(&format!(", {rest} damaged that are not needed to go on")),
            (needed, _) => text.push_str(&format!(", {needed} damaged that are needed")),
        }
        let first = found.files.iter().filter(damaged);
        if let Some(first) = first.min_by_key(|file| file.worth) {
            let damage = first.damage.as_deref().unwrap_or_default();
            text.push_str(&format!("; the first is \"{}\": {damage}", first.path));
        }
        if found.unread > 0 {
            let bound = STATE_BYTES_READ >> 20;
            text.push_str(&format!(
                "; {} not read, beyond {bound} MiB of state",
                found.unread
            ));
        }
        let verdict = match (needed, rest) {
            (0, 0) => Verdict::Ok,
            (0, _) => Verdict::Warn,
            _ => Verdict::Fail,
        };
        self.tell(object, "files", verdict, text);
        if needed > 0 {
            self.advise(
                "Restore the folder from a copy, take the query back to an older commit with \
                 `headwater checkpoint rewind`, or start it with a new checkpoint.",
            );
        }
    }

    fn note_readers(
        &mut self,
        name: &str,
        planned: Option<&PlannedQuery>,
        preview: Option<&Arc<Preview>>,
    ) {
        let sources = planned.map_or(&[] as &[_], |planned| planned.plan.sources.as_slice());
        for (index, source) in sources.iter().enumerate() {
            let reader = Reader {
                query: name.to_string(),
                index,
                preview: preview.cloned(),
            };
            self.readers
                .entry(source.name.clone())
                .or_default()
                .push(reader);
        }
    }
}
