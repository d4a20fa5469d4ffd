//! The brokerage dashboard, from nothing: a broker in this process, seeded orders, the queries of
//! `sql/brokerage/`, and what came of it.
//!
//! Source: the dashboard of Spark in Action (Zečević, Bonaći), chapter 6.

use std::time::Duration;

use headwater::arrow::array::AsArray;
use headwater::arrow::datatypes::Int64Type;
use headwater::kafka::{DevBroker, KafkaConnection, list_topics, produce_lines};
use headwater::{Error, Headwater, OrdersGenerator, OrdersShape, Result};

use crate::args::{DemoArgs, ProgressWhen, RowFormat, SessionArgs, SettingArgs};
use crate::context::Context;
use crate::exit_code::Exit;
use crate::progress::{bad_records, counted, grouped};
use crate::script::{Script, open_running, run_to_end};
use crate::signals::Signals;

const ORDERS: Template = Template {
    name: "sql/brokerage/orders.sql",
    text: include_str!("../../../../sql/brokerage/orders.sql"),
};
const DASHBOARD: Template = Template {
    name: "sql/brokerage/dashboard.sql",
    text: include_str!("../../../../sql/brokerage/dashboard.sql"),
};
/// Windows that are open at the end are finished: no more orders will come.
const AT_END: Template = Template {
    name: "the demo",
    text: "SET 'end-of-input' = 'flush';",
};
const METRICS: Template = Template {
    name: "sql/brokerage/metrics.sql",
    text: include_str!("../../../../sql/brokerage/metrics.sql"),
};
const READ_METRICS: Template = Template {
    name: "sql/brokerage/read-metrics.sql",
    text: include_str!("../../../../sql/brokerage/read-metrics.sql"),
};

/// What to try after the demo.
const NEXT: &str = "next: the statements are in sql/brokerage/; change one, and run it on a broker \
                    of yours as examples/brokerage/README.md says";

/// Event time that the orders cover, however many there are: several windows of an hour. A fifth
/// of it, an epoch of the full demo, ends well inside of ten minutes, the step of the windows.
const COVERED: Duration = Duration::from_secs(5 * 37 * 60);
const SYMBOLS: u32 = 200;
const CLIENTS: u32 = 500;
const DISORDER: Duration = Duration::from_secs(2);
const BAD_FRACTION: f64 = 0.001;
const SEED: u64 = 42;

/// What the development broker keeps of a partition.
const KEPT_ROWS: u64 = 100_000;
const KEPT_BYTES: u64 = 5 << 20;
/// Orders of a partition: keys are not spread evenly, so there is room for half as many again.
const ORDERS_PER_PARTITION: u64 = 40_000;
/// Bytes of a message that are neither key nor value, at most.
const OVERHEAD_BYTES: u64 = 20;

/// A script of the demo, before its names are filled in.
struct Template {
    name: &'static str,
    text: &'static str,
}

/// The scripts with the broker's address in place of its name.
fn filled(templates: &[Template], servers: &str) -> Vec<Script> {
    let fill = |template: &Template| Script {
        name: template.name.to_string(),
        text: template.text.replace("${BOOTSTRAP}", servers),
    };
    templates.iter().map(fill).collect()
}

/// Runs the demo.
///
/// # Errors
/// If the broker cannot be started, or the orders did not all get there.
pub(super) async fn run(args: &DemoArgs, context: &Context) -> Result<Exit> {
    let signals = Signals::listen()?;
    let orders = orders_of(args.rows);
    check_retention(&orders)?;
    let partitions = i32::try_from(orders.shape().partitions).unwrap_or(i32::MAX);
    let topics = [
        ("orders".to_string(), partitions),
        ("metrics".to_string(), 4),
    ];
    let broker = DevBroker::start(&topics)?;
    let servers = broker.bootstrap_servers();
    context.note(&format!(
        "a development broker runs at {servers}, with topics \"orders\" and \"metrics\""
    ));
    tokio::select! {
        produced = produce(&orders, &servers, context) => produced?,
        exit = signals.first() => return Ok(exit),
    }
    let started = context.clock.elapsed();
    let session_args = session_args();
    let session = open_running(&session_args, context).await?;
    let scripts = [ORDERS, DASHBOARD, AT_END, METRICS];
    let scripts = filled(&scripts, &servers);
    let exit = run_to_end(&session, &scripts, &session_args, context, &signals).await;
    let seconds = (context.clock.elapsed() - started).as_secs_f64();
    if exit != Exit::Done || signals.has_come() {
        return Ok(exit);
    }
    context.note("\nthe top stocks of the last full hour, read back from topic \"metrics\":");
    let after = open_running(&session_args, context).await?;
    let scripts = filled(&[ORDERS, READ_METRICS], &servers);
    let exit = run_to_end(&after, &scripts, &session_args, context, &signals).await;
    tell_totals(&session, &servers, args.rows, seconds, context).await?;
    context.note(&format!(
        "wrong side, not counted in any amount: {}",
        grouped(wrong_sides(&after).await?)
    ));
    context.note(NEXT);
    if args.keep {
        context.note(&format!(
            "the broker stays until Ctrl-C: bootstrap.servers={servers}"
        ));
        signals.first().await;
    }
    Ok(exit)
}

/// Everything is read once.
fn session_args() -> SessionArgs {
    SessionArgs {
        settings: SettingArgs {
            takeover: false,
            allow_state_drop: false,
            set: vec![("trigger".to_string(), "available-now".to_string())],
            format: RowFormat::Table,
        },
        drain_timeout: None,
        progress: ProgressWhen::Auto,
    }
}

/// Orders over [`COVERED`], with the symbols and clients of a small broker.
fn orders_of(rows: u64) -> OrdersGenerator {
    let mut shape = OrdersShape {
        rows,
        seed: SEED,
        symbols: SYMBOLS,
        clients: CLIENTS,
        partitions: u32::try_from(rows.div_ceil(ORDERS_PER_PARTITION))
            .unwrap_or(u32::MAX)
            .max(4),
        bad_fraction: BAD_FRACTION,
        has_sentinels: false,
        ..OrdersShape::default()
    };
    let micros = COVERED.as_micros() / u128::from(rows.max(1));
    shape.times.step = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
    shape.times.disorder = DISORDER;
    OrdersGenerator::new(shape)
}

/// The broker forgets the oldest messages of a partition that is too full, without a word.
fn check_retention(orders: &OrdersGenerator) -> Result<()> {
    let shape = orders.shape();
    let (mut key, mut line) = (Vec::new(), Vec::new());
    let sample = (0..shape.rows).step_by(1 + (shape.rows / 1000) as usize);
    let longest = sample.map(|i| {
        message(orders, i, &mut key, &mut line);
        (key.len() + line.len()) as u64
    });
    let message_bytes = longest.max().unwrap_or(0) + OVERHEAD_BYTES;
    let rows = shape.rows.div_ceil(u64::from(shape.partitions)) * 3 / 2;
    if rows > KEPT_ROWS || rows * message_bytes > KEPT_BYTES {
        return Err(Error::internal(format!(
            "{} partitions are too few for {} orders on the development broker",
            shape.partitions, shape.rows
        )));
    }
    Ok(())
}

/// An order as a message: the client is the key.
fn message(orders: &OrdersGenerator, i: u64, key: &mut Vec<u8>, line: &mut Vec<u8>) {
    key.clear();
    line.clear();
    key.extend_from_slice(orders.order(i).client_id.to_string().as_bytes());
    orders.csv_line(i, line);
}

/// Writes all orders to the topic, and looks whether they are all there.
async fn produce(orders: &OrdersGenerator, servers: &str, context: &Context) -> Result<()> {
    let started = context.clock.elapsed();
    let connection = KafkaConnection::new(servers);
    let messages = (0..orders.lines()).map(|i| {
        let (mut key, mut line) = (Vec::new(), Vec::new());
        message(orders, i, &mut key, &mut line);
        (Some(key), line)
    });
    let clock = &*context.clock;
    let sent = produce_lines(&connection, "orders", None, messages, None, clock).await?;
    let kept = held(&connection, "orders").await?;
    if kept != sent {
        return Err(Error::internal(format!(
            "the development broker kept {kept} of {sent} orders"
        )));
    }
    let seconds = (context.clock.elapsed() - started).as_secs_f64();
    context.note(&format!(
        "{} written to topic \"orders\" in {seconds:.1} s",
        counted(sent, "order")
    ));
    Ok(())
}

/// Messages that a topic holds.
async fn held(connection: &KafkaConnection, topic: &str) -> Result<u64> {
    let topics = list_topics(connection).await?;
    let topic = topics.iter().filter(|t| t.name == topic);
    let messages = topic.flat_map(|t| &t.partitions).map(|p| p.end - p.start);
    Ok(messages.map(i64::unsigned_abs).sum())
}

/// Orders that can be read and are neither a buy nor a sale.
async fn wrong_sides(session: &Headwater) -> Result<u64> {
    let text = "SELECT count(*) FROM orders WHERE buy NOT IN ('B', 'S')";
    let batches = session.sql(text).await?.collect().await?;
    let counts = batches.iter().filter(|batch| batch.num_rows() == 1);
    let counts = counts.map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0));
    Ok(counts.map(i64::unsigned_abs).sum())
}

async fn tell_totals(
    session: &Headwater,
    servers: &str,
    rows: u64,
    seconds: f64,
    context: &Context,
) -> Result<()> {
    let metrics = held(&KafkaConnection::new(servers), "metrics").await?;
    let queries = session.queries().all();
    // Every query reads the same lines and leaves out the same ones.
    let bad = queries.first().map(|q| q.status().totals.rows_bad);
    let bad = bad.unwrap_or_default();
    let bad = bad_records(bad.iter().map(|(reason, rows)| (reason.as_str(), *rows)));
    context.note(&format!(
        "\n{}, {bad}\n{} in topic \"metrics\"\n\
         {} queries, {seconds:.1} s, {}/s",
        counted(rows, "order"),
        counted(metrics, "row"),
        queries.len(),
        counted((rows as f64 / seconds.max(0.001)) as u64, "order"),
    ));
    Ok(())
}
