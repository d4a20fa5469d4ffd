//! `state.ttl`: what is emitted is what a plain model of keys and clock readings gives, whatever
//! happens between the epochs and on whatever number of shards.
//!
//! The clock stands between epochs at thousands of seconds, so that what retries add to it makes no
//! difference: a key that was touched seven thousand seconds ago is gone, one of six thousand is
//! not.

use std::time::Duration;

use super::*;

const STEP_S: u64 = 1_000;
/// Buckets of a hundred seconds.
const TTL: &str = "6400 seconds";
/// Steps after which a key is gone.
const GONE: u64 = 7;

const TOTALS: &str = "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k";
const DISTINCT: &str = "SELECT DISTINCT k FROM t";
const DISTINCT_ON: &str = "SELECT DISTINCT ON (k) k FROM t";
const GREATEST: &str = "SELECT k, rn, v FROM (
     SELECT *, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS rn
     FROM t WHERE v IS NOT NULL) WHERE rn <= 2";

/// What a query emits, folded, for turns of a case.
type Model = fn(&[Turn]) -> RecordBatch;

/// Every query with the model of it.
const QUERIES: &[(&str, &str, Model)] = &[
    (TOTALS, UPDATE, totals_updated),
    (TOTALS, COMPLETE, totals_kept),
    (DISTINCT, FINAL, births),
    (DISTINCT, UPDATE, keys),
    (DISTINCT, COMPLETE, keys_kept),
    (DISTINCT_ON, FINAL, births),
    (GREATEST, UPDATE, greatest_updated),
    (GREATEST, COMPLETE, greatest_kept),
];

/// An epoch, what happens before it, and how many steps the clock goes on before.
#[derive(Debug, Clone)]
struct Turn {
    event: Event,
    steps: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct IdleCase {
    turns: Vec<Turn>,
    query: usize,
    shards: usize,
}

fn idle_case() -> impl Strategy<Value = IdleCase> {
    let steps = prop_oneof![3 => 0u64..3, 2 => 3u64..7, 1 => 7u64..9];
    let turn = (event(), steps, vec(row(0), 0..6));
    let turn = turn.prop_map(|(event, steps, rows)| Turn { event, steps, rows });
    let shards = prop_oneof![Just(1usize), Just(2), Just(7)];
    let query = 0..QUERIES.len();
    (vec(turn, 1..14), query, shards).prop_map(|(turns, query, shards)| IdleCase {
        turns,
        query,
        shards,
    })
}

impl IdleCase {
    async fn run(&self) -> headwater::Result<TestSession> {
        let mut session = TestSession::try_new(RunMode::Straight, self.shards)?;
        session
            .run(&format!(
                "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP)
                 WITH (connector = 'memory', partitions = {PARTITIONS})"
            ))
            .await?;
        session
            .run("CREATE SINK out WITH (connector = 'memory')")
            .await?;
        let (select, mode, _) = QUERIES[self.query];
        let query = format!(
            "CREATE STREAMING QUERY q WITH ('state.ttl' = '{TTL}') AS
             INSERT INTO out {select} EMIT {mode}"
        );
        session.run(&query).await?;
        for turn in &self.turns {
            session.advance_clock(Duration::from_secs(turn.steps * STEP_S));
            let rows: Vec<Placed> = turn.rows.iter().map(placed).collect();
            feed(&session, &rows)?;
            turn.event.happen(&mut session).await?;
            session.run_to_end("q").await?;
        }
        Ok(session)
    }
}

fn placed(row: &Row) -> Placed {
    Placed {
        partition: row.partition,
        key: row.key.map(|key| format!("key{key}")),
        value: row.value,
        time_s: Some(NOON_S),
    }
}

type Key = Option<String>;

/// What is kept of a key, and when a row last touched it.
#[derive(Debug, Clone)]
struct Kept<T> {
    state: T,
    step: u64,
}

/// Keys whose state is made of their rows since they began, by the steps of the clock. `each` is
/// told what is kept after every epoch, and which keys rows of it touched.
fn replay<T: Clone + Default>(
    turns: &[Turn],
    counts: impl Fn(&Placed) -> bool,
    add: impl Fn(&mut T, &Placed),
    mut each: impl FnMut(&BTreeMap<Key, Kept<T>>, &BTreeMap<Key, bool>),
) -> BTreeMap<Key, Kept<T>> {
    let mut kept: BTreeMap<Key, Kept<T>> = BTreeMap::new();
    let mut step = 0;
    for turn in turns {
        step += turn.steps;
        if turn.rows.is_empty() {
            // Without a row there is no epoch.
            continue;
        }
        kept.retain(|_, key| step - key.step < GONE);
        let mut touched = BTreeMap::new();
        for row in turn.rows.iter().map(placed).filter(|row| counts(row)) {
            let is_new = !kept.contains_key(&row.key);
            touched.entry(row.key.clone()).or_insert(is_new);
            let key = kept.entry(row.key.clone()).or_insert_with(|| Kept {
                state: T::default(),
                step,
            });
            key.step = step;
            add(&mut key.state, &row);
        }
        each(&kept, &touched);
    }
    kept
}

type Total = (i64, Option<i64>);

fn add_total(total: &mut Total, row: &Placed) {
    total.0 += 1;
    if let Some(value) = row.value {
        *total.1.get_or_insert(0) += value;
    }
}

/// The newest total that was emitted of every key: those of keys that are gone stay in the sink.
fn totals_updated(turns: &[Turn]) -> RecordBatch {
    let mut emitted: BTreeMap<Key, Total> = BTreeMap::new();
    replay(
        turns,
        |_| true,
        add_total,
        |kept, touched| {
            for key in touched.keys() {
                emitted.insert(key.clone(), kept[key].state);
            }
        },
    );
    totals(&emitted)
}

/// The totals of the keys that are left.
fn totals_kept(turns: &[Turn]) -> RecordBatch {
    let kept = replay(turns, |_| true, add_total, |_, _| {});
    let left = kept.into_iter().map(|(key, kept)| (key, kept.state));
    totals(&left.collect())
}

fn totals(of: &BTreeMap<Key, Total>) -> RecordBatch {
    let keys: StringViewArray = of.keys().map(|k| k.as_deref()).collect();
    let counts: Int64Array = of.values().map(|v| Some(v.0)).collect();
    let sums: Int64Array = of.values().map(|v| v.1).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(keys)),
        ("n", Arc::new(counts)),
        ("total", Arc::new(sums)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Every key as often as it began.
fn births(turns: &[Turn]) -> RecordBatch {
    let mut born: Vec<Key> = vec![];
    replay::<()>(
        turns,
        |_| true,
        |(), _| {},
        |_, touched| {
            let new = touched.iter().filter(|(_, is_new)| **is_new);
            born.extend(new.map(|(key, _)| key.clone()));
        },
    );
    keys_of(born.iter())
}

/// Every key once, as a sink with a key has them.
fn keys(turns: &[Turn]) -> RecordBatch {
    let mut seen: BTreeMap<Key, bool> = BTreeMap::new();
    replay::<()>(
        turns,
        |_| true,
        |(), _| {},
        |_, touched| {
            seen.extend(touched.clone());
        },
    );
    keys_of(seen.keys())
}

/// The keys that are left.
fn keys_kept(turns: &[Turn]) -> RecordBatch {
    keys_of(replay::<()>(turns, |_| true, |(), _| {}, |_, _| {}).keys())
}

fn keys_of<'a>(keys: impl Iterator<Item = &'a Key>) -> RecordBatch {
    let keys: StringViewArray = keys.map(|k| k.as_deref()).collect();
    let columns: [(&str, ArrayRef); 1] = [("k", Arc::new(keys))];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn has_value(row: &Placed) -> bool {
    row.value.is_some()
}

/// The two greatest, greatest first.
fn add_greatest(greatest: &mut Vec<i64>, row: &Placed) {
    greatest.extend(row.value);
    greatest.sort_unstable_by(|a, b| b.cmp(a));
    greatest.truncate(2);
}

/// The newest value of every number that was emitted.
fn greatest_updated(turns: &[Turn]) -> RecordBatch {
    let mut emitted: BTreeMap<(Key, u64), i64> = BTreeMap::new();
    replay(turns, has_value, add_greatest, |kept, touched| {
        for key in touched.keys() {
            for (number, value) in (1..).zip(&kept[key].state) {
                emitted.insert((key.clone(), number), *value);
            }
        }
    });
    greatest(&emitted)
}

fn greatest_kept(turns: &[Turn]) -> RecordBatch {
    let kept = replay(turns, has_value, add_greatest, |_, _| {});
    let numbered = kept.into_iter().flat_map(|(key, kept)| {
        let numbers = (1..).zip(kept.state);
        numbers.map(move |(number, value)| ((key.clone(), number), value))
    });
    greatest(&numbered.collect())
}

fn greatest(of: &BTreeMap<(Key, u64), i64>) -> RecordBatch {
    let keys: StringViewArray = of.keys().map(|k| k.0.as_deref()).collect();
    let numbers: Int64Array = of.keys().map(|k| Some(k.1 as i64)).collect();
    let values: Int64Array = of.values().copied().map(Some).collect();
    let columns: [(&str, ArrayRef); 3] = [
        ("k", Arc::new(keys)),
        ("rn", Arc::new(numbers)),
        ("v", Arc::new(values)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn equals_replay(case: IdleCase) -> Result<(), String> {
    let mut session = case.run().await.map_err(|e| report(&e))?;
    let query = session.query("q").map_err(|e| report(&e))?;
    let emitted = sorted(fold(query).map_err(|e| report(&e))?);
    let (select, mode, model) = QUERIES[case.query];
    let expected = sorted(text_rows(&[model(&case.turns)]).map_err(|e| report(&e))?);
    if emitted != expected {
        return Err(format!(
            "{select} EMIT {mode}\nemitted  {emitted:?}\nexpected {expected:?}"
        ));
    }
    Ok(())
}

#[test]
fn keys_that_no_row_touches_begin_anew() {
    check_cases(41, &idle_case(), equals_replay);
}
