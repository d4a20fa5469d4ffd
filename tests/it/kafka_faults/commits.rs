//! A query that writes in transactions, with a proxy before its sink that loses requests and
//! answers of their steps: readers of committed rows see every row once.

use headwater::{Headwater, StreamingQuery};
use headwater_testkit::kafka_proxy::Counts;
use headwater_testkit::{Fault, KafkaProxy, RequestKind};

use super::{in_time, real_cluster};
use crate::kafka::{Cluster, orders, produce, rows, source};

/// The requests of a transaction, in the order in which they come.
const STEPS: [RequestKind; 4] = [
    RequestKind::AddPartitionsToTxn,
    RequestKind::AddOffsetsToTxn,
    RequestKind::TxnOffsetCommit,
    RequestKind::EndTxn,
];

/// A copy of a topic to another one, through a proxy before the sink.
struct Copying {
    cluster: Cluster,
    checkpoint: tempfile::TempDir,
    proxy: KafkaProxy,
    input: String,
    output: String,
}

/// What became of a copy.
struct Copied {
    counts: Counts,
    /// How often a producer took the transactional id.
    producers: u64,
}

impl Copying {
    /// `None` without a real broker: the mock one shows rows of aborted transactions.
    async fn new() -> Option<Copying> {
        let cluster = real_cluster()?;
        let (input, output) = (
            cluster.new_topic("commits-in", 1).await,
            cluster.new_topic("commits-out", 2).await,
        );
        produce(&cluster.servers, &input, 0, orders(0, 1000)).await;
        Some(Copying {
            proxy: KafkaProxy::start(&cluster.servers).unwrap(),
            checkpoint: tempfile::tempdir().unwrap(),
            cluster,
            input,
            output,
        })
    }

    /// A query that commits so often, in a session of its own.
    async fn start(&self, interval: &str) -> (Headwater, StreamingQuery) {
        let hw = Headwater::builder().build().unwrap();
        let (servers, output) = (&self.cluster.servers, &self.output);
        let small = "WITH ('max.records.per.epoch' = 25, ";
        let source = source("orders", servers, &self.input).replace("WITH (", small);
        hw.sql(&source).await.unwrap();
        let proxied = self.proxy.bootstrap_servers();
        hw.sql(&format!(
            "CREATE SINK copies WITH (connector = 'kafka', topic = '{output}',
               delivery = 'exactly-once', 'bootstrap.servers' = '{proxied}',
               'properties.linger.ms' = '0', 'properties.message.timeout.ms' = '3000',
               'properties.socket.timeout.ms' = '2000') FORMAT JSON;
             CREATE SOURCE written (id BIGINT) WITH (connector = 'kafka', topic = '{output}',
               'bootstrap.servers' = '{servers}') FORMAT JSON;"
        ))
        .await
        .unwrap();
        let place = self.checkpoint.path().display();
        let query = format!(
            "CREATE STREAMING QUERY copying
             WITH (checkpoint = '{place}', trigger = 'available-now',
               checkpoint.interval = '{interval}')
             AS INSERT INTO copies SELECT id FROM orders"
        );
        let started = in_time("the start", Box::pin(hw.sql(&query))).await;
        let query = started.unwrap().into_query().unwrap();
        (hw, query)
    }

    /// Copies the topic while a fault happens to a step; every row is there once then.
    async fn check(&self, interval: &str, step: RequestKind, fault: Fault, times: u32) -> Copied {
        let (hw, query) = self.start(interval).await;
        in_time("the first epoch", query.next_turn()).await;
        self.proxy.arrange(step, fault, times);
        let copied = in_time("the copy", query.await_termination()).await;
        let (counts, left) = (self.proxy.counts(), self.proxy.outstanding());
        let what = format!("{interval} {step:?} {fault:?} {counts:?}");
        copied.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(left, 0, "{what}");
        let copies = rows(&hw, "SELECT count(*), count(DISTINCT id) FROM written").await;
        assert_eq!(copies, ["1000 1000"], "{what}");
        assert_eq!(query.status().totals.rows_in, 1000, "{what}");
        Copied {
            counts,
            producers: self.proxy.requests(RequestKind::InitProducerId),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_a_commit_leave_each_row_once() {
    for step in STEPS {
        let Some(copying) = Copying::new().await else {
            return;
        };
        let copied = copying.check("epoch", step, Fault::LoseAnswer, 3).await;
        assert_eq!(copied.counts.lost_answers, 3, "{step:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_requests_of_a_commit_leave_each_row_once() {
    for step in STEPS {
        let Some(copying) = Copying::new().await else {
            return;
        };
        let copied = copying.check("epoch", step, Fault::LoseRequest, 3).await;
        assert_eq!(copied.counts.lost_requests, 3, "{step:?}");
    }
}

/// The broker has carried the step out and says nothing for longer than a step may take: a new
/// producer settles what became of the transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_settled_by_its_note() {
    for interval in ["epoch", "20 ms"] {
        for step in [RequestKind::TxnOffsetCommit, RequestKind::EndTxn] {
            let Some(copying) = Copying::new().await else {
                return;
            };
            let always = Fault::WithholdAnswer;
            let copied = copying.check(interval, step, always, 3).await;
            assert_eq!(copied.counts.withheld_answers, 3, "{step:?}");
            assert!(copied.producers > 1, "{interval} {step:?}");
        }
    }
}
