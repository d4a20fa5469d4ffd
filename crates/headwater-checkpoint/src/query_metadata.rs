//! What the query of a checkpoint is, and whether another query may go on from it.
//!
//! `metadata.json` is written before the first epoch, and again when a query goes on although it has
//! changed. A query that is started on the folder later must be the same in everything that the state
//! and the logs depend on; its text may differ.
//!
//! | what differs | the query |
//! | --- | --- |
//! | name, text, version, what [`QueryMetadata`] does not hold | goes on |
//! | steps of a plan without state | goes on, and says so |
//! | steps or operators of a plan with state | is refused, or goes on without the state of those |
//! | sources, sink, mode, shards | is refused |

use std::collections::BTreeMap;

use headwater_core::id::{EpochId, OperatorId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::state::KEPT_FOR;
use headwater_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::file_store::{FileStore, file_label};
use crate::plan_changes;
use crate::record::{FORMAT_VERSION, RecordKind, encode_json, newer_version, read_json};

pub(crate) const METADATA_FILE: &str = "metadata.json";

/// A stateful operator of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorMetadata {
    /// Its place in the logical plan.
    pub id: OperatorId,
    /// What it is: `window-aggregate`.
    pub kind: String,
    /// The columns of its state, as text; equal texts mean states that fit.
    pub state_schema: String,
}

/// A source of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMetadata {
    /// The user's name of it.
    pub name: String,
    /// What the offsets and the state depend on, by name: `topic`, `column "price"`.
    pub identity: BTreeMap<String, String>,
}

/// What the query of a checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMetadata {
    /// Identity across restarts. What the checkpoint holds counts, not what a restart brings.
    pub query_id: QueryId,
    /// The user's name of the query.
    pub name: String,
    /// The text of the query. It is stored readably: leave secrets out.
    pub sql: String,
    /// Fingerprint of the plan. Queries with equal fingerprints do the same.
    pub plan_fingerprint: String,
    /// The steps of the plan, each before its inputs and indented by two blanks per level; empty
    /// if an old headwater began the query.
    #[serde(default)]
    pub plan: Vec<String>,
    /// Stateful operators.
    pub operators: Vec<OperatorMetadata>,
    /// Sources, in the order of `SourceIndex`: their offsets in the logs have no other names.
    pub sources: Vec<SourceMetadata>,
    /// What the sink must be again, by name: `path`.
    pub sink: BTreeMap<String, String>,
    /// Number of shards of keyed state.
    pub shard_count: u32,
    /// Name of the hash that spreads keys over shards.
    pub hash: String,
    /// Output mode.
    pub output_mode: OutputMode,
    /// Operators whose state up to an epoch counts no more, because the query has changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped_state: BTreeMap<OperatorId, EpochId>,
    /// Version of the checkpoint's layout: [`FORMAT_VERSION`] for a new one.
    pub format_version: u32,
    /// The headwater that began the query.
    pub version: String,
}

impl QueryMetadata {
    /// An id for a query that starts for the first time.
    pub fn new_query_id() -> QueryId {
        QueryId::new(uuid::Uuid::new_v4().to_string())
    }
}

/// What happens if a query has changed so that state of its checkpoint does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStateChange {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes on from its offsets, without the state of what has changed.
    Drop,
}

/// A change of a query that may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryChange {
    /// What has changed, a phrase each.
    pub in_words: Vec<String>,
    /// Operators that go on without the state they had.
    pub dropped: Vec<OperatorId>,
    /// What the query is from now on, without what [`QueryChange::dropped`] adds.
    pub(crate) metadata: QueryMetadata,
}

/// The metadata of a store, and what has changed since; writes `current` if the store has none.
///
/// # Errors
/// Checkpoint if what is stored is damaged or, by [`compatibility`], is another query's.
pub fn load_or_create(
    store: &dyn FileStore,
    current: &QueryMetadata,
    on_change: OnStateChange,
) -> Result<(QueryMetadata, Option<QueryChange>)> {
    if let Some(stored) = load(store)? {
        let change = compared(store, &stored, current, on_change)?;
        return Ok((stored, change));
    }
    let bytes = encode_json(RecordKind::Metadata, None, current)?;
    store.create_new(METADATA_FILE, &bytes)?;
    Ok((current.clone(), None))
}

/// [`compatibility`] with what a store holds, which the error names.
pub(crate) fn compared(
    store: &dyn FileStore,
    stored: &QueryMetadata,
    current: &QueryMetadata,
    on_change: OnStateChange,
) -> Result<Option<QueryChange>> {
    compatibility(stored, current, on_change).map_err(|e| {
        e.with_detail(format!(
            "The checkpoint \"{}\" was begun by query \"{}\" of headwater {}.",
            store.describe(),
            stored.name,
            stored.version
        ))
    })
}

/// Writes metadata in place of what is there.
pub(crate) fn replace(store: &dyn FileStore, metadata: &QueryMetadata) -> Result<()> {
    let bytes = encode_json(RecordKind::Metadata, None, metadata)?;
    store.write_atomic(METADATA_FILE, &bytes)
}

/// The metadata of a store; `None` if no query ever ran there.
pub fn load(store: &dyn FileStore) -> Result<Option<QueryMetadata>> {
    let stored: Option<QueryMetadata> =
        read_json(store, RecordKind::Metadata, None, METADATA_FILE)?;
    match stored {
        Some(stored) if stored.format_version > FORMAT_VERSION => {
            let label = file_label(store, METADATA_FILE);
            Err(newer_version(&label, stored.format_version))
        }
        stored => Ok(stored),
    }
}

/// What is said of plans that differ in something that no step shows.
const UNNAMED_CHANGE: &str = "expressions of the plan";

/// Whether the query `current` may go on from the checkpoint of `stored`, and what has changed if it
/// may although it does something else. Name, text and headwater version may differ. State that is
/// kept for a time is as good for another time: it says when a key was touched.
///
/// # Errors
/// Checkpoint, saying which parts have changed.
pub fn compatibility(
    stored: &QueryMetadata,
    current: &QueryMetadata,
    on_change: OnStateChange,
) -> Result<Option<QueryChange>> {
    let (stored, kept_for) = &with_lengths_of(stored, current);
    let around = changes_around(stored, current);
    let mut in_plan = changes_in_plan(stored, current);
    if in_plan == [UNNAMED_CHANGE] && !around.is_empty() {
        // The plan of another mode is another plan.
        in_plan.clear();
    }
    if around.is_empty() && in_plan.is_empty() && kept_for.is_empty() {
        return Ok(None);
    }
    let is_known = in_plan.is_empty();
    in_plan.extend(kept_for.iter().cloned());
    let has_state = !stored.operators.is_empty() || !current.operators.is_empty();
    let dropped = changed_operators(stored, current);
    let goes_on = is_known || !has_state || on_change == OnStateChange::Drop;
    if around.is_empty() && goes_on {
        return Ok(Some(QueryChange {
            in_words: in_plan,
            dropped,
            metadata: QueryMetadata {
                query_id: stored.query_id.clone(),
                version: stored.version.clone(),
                dropped_state: stored.dropped_state.clone(),
                ..current.clone()
            },
        }));
    }
    let can_drop = around.is_empty();
    let changes = [in_plan, around].concat().join(", ");
    Err(Error::checkpoint(format!(
        "query \"{}\" is not the one that began this checkpoint: it differs in {changes}",
        current.name
    ))
    .with_hint(match can_drop {
        true => way_out(ttl_before(stored, current), &dropped),
        false => USUAL_WAY_OUT.to_string(),
    }))
}

const USUAL_WAY_OUT: &str = "Use a new checkpoint folder or restore the old query.";

fn way_out(ttl_before: Option<String>, dropped: &[OperatorId]) -> String {
    let usual = match ttl_before {
        Some(ttl) => {
            format!("Set 'state.ttl' = '{ttl}' as before, or use a new checkpoint folder.")
        }
        None => USUAL_WAY_OUT.to_string(),
    };
    let what = match dropped {
        [] => "go on all the same".to_string(),
        some => {
            let some: Vec<String> = some.iter().map(|id| format!("\"{id}\"")).collect();
            format!("go on without the state of {}", some.join(", "))
        }
    };
    format!("{usual} To {what}, set 'checkpoint.allow-state-drop' = 'true'.")
}

/// Changes with which no state and no offset could be used.
fn changes_around(stored: &QueryMetadata, current: &QueryMetadata) -> Vec<String> {
    let mut changes = Vec::new();
    let mut compare = |what: &str, was: String, is: String| {
        if was != is {
            changes.push(format!("{what} (was {was}, is {is})"));
        }
    };
    compare(
        "the sources",
        quoted(&stored.sources),
        quoted(&current.sources),
    );
    compare(
        "the number of shards",
        stored.shard_count.to_string(),
        current.shard_count.to_string(),
    );
    compare(
        "the hash function",
        stored.hash.clone(),
        current.hash.clone(),
    );
    compare(
        "the output mode",
        stored.output_mode.to_string(),
        current.output_mode.to_string(),
    );
    source_changes(stored, current, &mut changes);
    changes
}

/// Changes of what the query computes.
fn changes_in_plan(stored: &QueryMetadata, current: &QueryMetadata) -> Vec<String> {
    let is_known = !stored.plan.is_empty();
    let mut changes = match is_known {
        true => plan_changes::changes(&stored.plan, &current.plan),
        false => vec![],
    };
    // What has changed in an operator's own step says more than that its state has.
    let told = match is_known {
        true => plan_changes::changed_operators(&stored.plan, &current.plan),
        false => vec![],
    };
    operator_changes(stored, current, &told, &mut changes);
    if changes.is_empty() && stored.plan_fingerprint != current.plan_fingerprint {
        changes.push(UNNAMED_CHANGE.to_string());
    }
    changes
}

/// The operators of the checkpoint whose state the current query cannot use.
fn changed_operators(stored: &QueryMetadata, current: &QueryMetadata) -> Vec<OperatorId> {
    let in_plan = plan_changes::changed_operators(&stored.plan, &current.plan);
    let is_same_plan = stored.plan_fingerprint == current.plan_fingerprint;
    let is_unknown = stored.plan.is_empty() && !is_same_plan;
    let has_changed = |operator: &&OperatorMetadata| {
        is_unknown || in_plan.contains(&operator.id) || !current.operators.contains(operator)
    };
    let changed = stored.operators.iter().filter(has_changed);
    changed.map(|operator| operator.id.clone()).collect()
}

fn operator_changes(
    stored: &QueryMetadata,
    current: &QueryMetadata,
    told: &[OperatorId],
    changes: &mut Vec<String>,
) {
    let by_id = |metadata: &QueryMetadata| -> BTreeMap<OperatorId, OperatorMetadata> {
        let operators = metadata.operators.iter();
        let operators = operators.filter(|o| !told.contains(&o.id));
        operators.map(|o| (o.id.clone(), o.clone())).collect()
    };
    let (old, new) = (by_id(stored), by_id(current));
    for (id, was) in &old {
        match new.get(id) {
            None => changes.push(format!("the operators (\"{id}\" is gone)")),
            Some(is) if is.kind != was.kind => changes.push(format!(
                "the kind of operator \"{id}\" (was {}, is {})",
                was.kind, is.kind
            )),
            Some(is) if is.state_schema != was.state_schema => {
                changes.push(match changed_ttl(was, is) {
                    Some((was, is)) => ttl_change(id, was, is),
                    None => format!(
                        "the state schema of operator \"{id}\" (was {}, is {})",
                        was.state_schema, is.state_schema
                    ),
                });
            }
            Some(_) => {}
        }
    }
    for id in new.keys().filter(|id| !old.contains_key(id)) {
        changes.push(format!("the operators (\"{id}\" is new)"));
    }
}

/// What is stored, with the current times to live where both have one, and what these changes are.
fn with_lengths_of(
    stored: &QueryMetadata,
    current: &QueryMetadata,
) -> (QueryMetadata, Vec<String>) {
    let (mut fitted, mut changes) = (stored.clone(), vec![]);
    for was in &mut fitted.operators {
        let Some(is) = current.operators.iter().find(|is| is.id == was.id) else {
            continue;
        };
        let has_time = |operator: &OperatorMetadata| operator.state_schema.contains(KEPT_FOR);
        if let Some((from, to)) = changed_ttl(was, is).filter(|_| has_time(was) && has_time(is)) {
            changes.push(ttl_change(&was.id, from, to));
            was.state_schema.clone_from(&is.state_schema);
        }
    }
    (fitted, changes)
}

fn ttl_change(id: &OperatorId, was: &str, is: &str) -> String {
    format!("the option \"state.ttl\" for operator \"{id}\" (was '{was}', is '{is}')")
}

/// The times to live of an operator, if nothing else of its state has changed.
fn changed_ttl<'a>(
    was: &'a OperatorMetadata,
    is: &'a OperatorMetadata,
) -> Option<(&'a str, &'a str)> {
    let split = |schema: &'a str| schema.split_once(KEPT_FOR).unwrap_or((schema, "never"));
    let ((old, was), (new, is)) = (split(&was.state_schema), split(&is.state_schema));
    (old == new && was != is).then_some((was, is))
}

/// The time to live with which every state of a query fits, if that is all that has changed.
fn ttl_before(stored: &QueryMetadata, current: &QueryMetadata) -> Option<String> {
    let mut before = None;
    for was in &stored.operators {
        let is = current.operators.iter().find(|is| is.id == was.id)?;
        if was != is {
            let (was, _) = changed_ttl(was, is)?;
            before = Some(was.to_string());
        }
    }
    before.filter(|_| stored.plan_fingerprint == current.plan_fingerprint)
}

/// Compares what both sides know: a column that only one of the declarations has is not used, or
/// the plans would differ.
fn source_changes(stored: &QueryMetadata, current: &QueryMetadata, changes: &mut Vec<String>) {
    for (old, new) in stored.sources.iter().zip(&current.sources) {
        let owner = format!("source \"{}\"", new.name);
        part_changes(&owner, &old.identity, &new.identity, changes);
    }
    part_changes("the sink", &stored.sink, &current.sink, changes);
}

fn part_changes(
    owner: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    changes: &mut Vec<String>,
) {
    for (part, was) in old {
        if let Some(is) = new.get(part).filter(|is| *is != was) {
            changes.push(format!("the {part} of {owner} (was {was}, is {is})"));
        }
    }
}

fn quoted(sources: &[SourceMetadata]) -> String {
    let names: Vec<String> = sources.iter().map(|s| format!("\"{}\"", s.name)).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;
    use crate::memory_files::MemoryFiles;
    use crate::test_data::{metadata, source};

    fn changed(change: impl FnOnce(&mut QueryMetadata)) -> Result<Option<QueryChange>> {
        let mut current = metadata();
        change(&mut current);
        compatibility(&metadata(), &current, OnStateChange::Refuse)
    }

    #[test]
    fn text_name_and_version_may_change() {
        changed(|m| {
            m.sql = "select  1".to_string();
            m.name = "other".to_string();
            m.version = "9.9.9".to_string();
            m.query_id = QueryId::new("other");
        })
        .map(|change| assert_eq!(change, None))
        .unwrap();
    }

    #[test]
    fn columns_that_one_side_does_not_know_are_not_used() {
        changed(|m| {
            let identity = &mut m.sources[0].identity;
            identity.insert("column \"new\"".to_string(), "Int64".to_string());
        })
        .unwrap();
    }

    #[test]
    fn messages_say_what_changed() {
        type Change = fn(&mut QueryMetadata);
        let cases: [(Change, &str); 11] = [
            (
                |m| m.operators.clear(),
                "the operators (\"1-window-aggregate\" is gone)",
            ),
            (
                |m| m.operators[0].id = OperatorId::new("2-dedup"),
                "the operators (\"2-dedup\" is new)",
            ),
            (
                |m| m.operators[0].kind = "dedup".into(),
                "the kind of operator",
            ),
            (
                |m| m.operators[0].state_schema = "k: Utf8".into(),
                "the state schema of operator \"1-window-aggregate\" (was k: Int64, is k: Utf8)",
            ),
            (
                |m| m.sources.push(source("b", "b")),
                "the sources (was [\"orders\"], is [\"orders\", \"b\"])",
            ),
            (
                |m| m.sources = vec![source("orders", "trades")],
                "the topic of source \"orders\" (was orders, is trades)",
            ),
            (
                |m| {
                    m.sink.insert("path".into(), "/b".into());
                },
                "the path of the sink (was /a, is /b)",
            ),
            (|m| m.shard_count = 8, "the number of shards (was 64, is 8)"),
            (|m| m.hash = "other".into(), "the hash function"),
            (
                |m| m.output_mode = OutputMode::Update,
                "the output mode (was append, is update)",
            ),
            (
                |m| m.plan_fingerprint = "f2".into(),
                "expressions of the plan",
            ),
        ];
        for (change, what) in cases {
            let error = changed(change).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint);
            assert!(error.message().contains(what), "{error} lacks {what}");
            assert!(error.hint().unwrap().contains("new checkpoint folder"));
        }
    }

    #[test]
    fn another_time_to_live_is_told_by_its_option() {
        let with = |ttl: &str| {
            let mut query = metadata();
            query.operators[0].state_schema.push_str(ttl);
            query
        };
        for (was, is, what, again) in [
            ("", ", kept for 1 day", "(was 'never', is '1 day')", "never"),
            (", kept for 1 day", "", "(was '1 day', is 'never')", "1 day"),
        ] {
            let error = compatibility(&with(was), &with(is), OnStateChange::Refuse).unwrap_err();
            let told = "the option \"state.ttl\" for operator \"1-window-aggregate\" ";
            assert!(
                error.message().contains(&format!("{told}{what}")),
                "{error}"
            );
            let hint = error.hint().unwrap();
            assert!(
                hint.starts_with(&format!("Set 'state.ttl' = '{again}' as before")),
                "{hint}"
            );
            assert!(hint.contains("allow-state-drop"), "{hint}");
        }
        let (stored, current) = (with(", kept for 1 day"), with(", kept for 2 days"));
        let change = compatibility(&stored, &current, OnStateChange::Refuse).unwrap();
        let change = change.unwrap();
        let told = "the option \"state.ttl\" for operator \"1-window-aggregate\" \
                    (was '1 day', is '2 days')";
        assert_eq!(change.in_words, [told]);
        assert_eq!(change.dropped, []);
        assert_eq!(change.metadata.operators, current.operators);
        // With a change that needs the state dropped, it is told too.
        let mut other = with(", kept for 2 days");
        other.plan_fingerprint = "another".to_string();
        let error = compatibility(&stored, &other, OnStateChange::Refuse).unwrap_err();
        assert!(error.message().contains(told), "{error}");
    }

    #[test]
    fn the_first_start_decides_the_id() {
        let store = MemoryFiles::new();
        let load_or_create = |metadata: &QueryMetadata| {
            load_or_create(&store, metadata, OnStateChange::Refuse).map(|(metadata, _)| metadata)
        };
        let first = load_or_create(&metadata()).unwrap();
        let mut again = metadata();
        again.query_id = QueryMetadata::new_query_id();
        assert_ne!(again.query_id, first.query_id);
        assert_eq!(load_or_create(&again).unwrap(), first);
        again.shard_count = 1;
        let error = load_or_create(&again).unwrap_err();
        assert!(error.detail().unwrap().contains("\"memory\""));
    }

    #[test]
    fn a_layout_from_the_future_is_refused() {
        let store = MemoryFiles::new();
        let mut future = metadata();
        future.format_version = FORMAT_VERSION + 1;
        load_or_create(&store, &future, OnStateChange::Refuse).unwrap();
        let error = load_or_create(&store, &metadata(), OnStateChange::Drop).unwrap_err();
        assert!(error.message().contains("written by a newer headwater"));
    }
}
