//! Queries over Kafka while the way to the broker fails: whatever is lost, torn, damaged, late or
//! gone for a while, every row comes out once.
//!
//! The rows are written at the broker itself and read through a proxy, or the other way round.
//! Every test shows by the proxy's counts that its fault took place.
//! `HEADWATER_TEST_LONG=1` adds a long outage.

use std::time::Duration;

use arrow::array::RecordBatch;
use futures::future::{Either, select};
use headwater::{Clock, Headwater, StreamingQuery, SystemClock, Trigger};
use headwater_testkit::kafka_proxy::Counts;
use headwater_testkit::{Fault, KafkaProxy, Link, RequestKind};
use headwater_tests::real_broker;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{Cluster, orders, produce, rows, source, text};

mod commits;

/// Far more than any of these takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rows of one batch of a topic.
const BATCH_ROWS: u32 = 50;

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let limit = SystemClock::new().sleep(PATIENCE);
    tokio::pin!(work);
    match select(work, limit).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => panic!("{what} takes for ever"),
    }
}

fn real_cluster() -> Option<Cluster> {
    let servers = real_broker()?;
    Some(Cluster {
        servers,
        mock: None,
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is a matter of the environment"
)]
fn is_long() -> bool {
    std::env::var("HEADWATER_TEST_LONG").is_ok()
}

/// A topic read by a query through a proxy.
struct Reading {
    proxy: KafkaProxy,
    topic: String,
    headwater: Headwater,
    /// At the broker itself.
    producer: BaseProducer,
    produced: u32,
}

impl Reading {
    /// A topic with 1,000 rows in many batches, and no query yet.
    async fn new(cluster: &Cluster) -> Reading {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &cluster.servers)
            .set("batch.num.messages", BATCH_ROWS.to_string())
            .set("linger.ms", "100")
            .create();
        let mut reading = Reading {
            producer: producer.unwrap(),
            proxy: KafkaProxy::start(&cluster.servers).unwrap(),
            topic: cluster.new_topic("faults", 1).await,
            headwater: Headwater::builder().build().unwrap(),
            produced: 0,
        };
        reading.produce(1000);
        let servers = reading.proxy.bootstrap_servers();
        let declared = source("orders", &servers, &reading.topic);
        reading.headwater.sql(&declared).await.unwrap();
        reading
    }

    /// Writes rows at the broker itself.
    fn produce(&mut self, count: u32) {
        let end = self.produced + count;
        for line in orders(self.produced, end) {
            let record = BaseRecord::<str, str>::to(&self.topic).partition(0);
            self.producer.send(record.payload(&line)).unwrap();
        }
        self.producer.flush(PATIENCE).unwrap();
        self.produced = end;
    }

    async fn start(&self) -> StreamingQuery {
        let stream = self.headwater.stream("SELECT id FROM orders").await;
        let writer = stream.unwrap().write_stream().format("memory");
        let query = writer.query_name("ids").trigger(Trigger::Asap).start();
        in_time("the start", Box::pin(query)).await.unwrap()
    }

    fn rows(&self) -> Vec<RecordBatch> {
        self.headwater.memory_sink("ids").unwrap().rows()
    }

    fn row_count(&self) -> usize {
        self.rows().iter().map(RecordBatch::num_rows).sum()
    }

    /// Waits until as many rows came out as were written.
    async fn catch_up(&self, query: &StreamingQuery) {
        let produced = usize::try_from(self.produced).unwrap();
        let caught_up = async {
            loop {
                let turn = query.next_turn();
                tokio::pin!(turn);
                // From here on a turn is noticed, so none is lost between a look and a wait.
                let _ = futures::poll!(turn.as_mut());
                if self.row_count() >= produced || !query.is_active() {
                    return;
                }
                turn.await;
            }
        };
        let (proxy, count) = (&self.proxy, || self.row_count());
        let limit = SystemClock::new().sleep(PATIENCE);
        tokio::pin!(caught_up);
        if let Either::Right(_) = select(caught_up, limit).await {
            panic!("{} of {produced} rows, {:?}", count(), proxy.counts());
        }
    }

    /// Waits for all rows, stops the query, and checks that every row came out once.
    async fn finish(&self, query: &StreamingQuery) -> Counts {
        self.catch_up(query).await;
        in_time("the end", query.stop()).await.unwrap();
        let mut expected: Vec<String> = (0..self.produced).map(|id| id.to_string()).collect();
        expected.sort();
        let counts = self.proxy.counts();
        assert_eq!(text(&self.rows()), expected, "{counts:?}");
        counts
    }
}

/// Reads a topic while something happens to Fetch answers.
async fn check_fetch(cluster: &Cluster, fault: Fault, times: u32) -> Counts {
    let reading = Reading::new(cluster).await;
    reading.proxy.arrange(RequestKind::Fetch, fault, times);
    let query = reading.start().await;
    let counts = reading.finish(&query).await;
    assert_eq!(reading.proxy.outstanding(), 0, "{fault:?}");
    counts
}

async fn torn_fetches_are_asked_for_again(cluster: &Cluster) {
    for at in [6, 60, 2_000] {
        let counts = check_fetch(cluster, Fault::TearAnswer { at }, 2).await;
        assert_eq!(counts.torn_answers, 2);
    }
}

/// The damaged batch is followed by others in the same answer; the mock broker puts one into each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_is_fetched_again() {
    let Some(cluster) = real_cluster() else {
        return;
    };
    let fault = Fault::FlipBit {
        from_end: 40_000,
        min_bytes: 60_000,
    };
    assert_eq!(check_fetch(&cluster, fault, 1).await.flipped_bits, 1);
}

/// The damaged batch is the last of its answer.
async fn a_damaged_last_batch_is_fetched_again(cluster: &Cluster) {
    let fault = Fault::FlipBit {
        from_end: 20,
        min_bytes: 1_000,
    };
    assert_eq!(check_fetch(cluster, fault, 2).await.flipped_bits, 2);
}

/// A batch that is damaged whenever it comes, as if on the broker's disk: the query stops.
async fn damage_that_stays_is_told(cluster: &Cluster) {
    let reading = Reading::new(cluster).await;
    let always = Fault::FlipBit {
        from_end: 20,
        min_bytes: 1_000,
    };
    reading.proxy.arrange(RequestKind::Fetch, always, u32::MAX);
    let query = reading.start().await;
    let ended = in_time("the end", query.await_termination()).await;
    let error = ended.unwrap_err();
    let expected = format!(
        "partition 0 of topic \"{}\" holds damaged records",
        reading.topic
    );
    assert_eq!(error.message(), expected, "{error:?}");
    let emitted = reading.row_count();
    assert!(emitted < 1000, "{emitted} rows of damaged batches");
}

async fn cuts_are_survived(cluster: &Cluster) {
    let mut reading = Reading::new(cluster).await;
    let query = reading.start().await;
    for _ in 0..5 {
        reading.catch_up(&query).await;
        reading.proxy.cut();
        reading.produce(100);
    }
    assert!(reading.finish(&query).await.cut >= 5);
}

/// Takes the broker away once while the query waits, with rows written meanwhile.
async fn check_outage(cluster: &Cluster, length: Duration) {
    let mut reading = Reading::new(cluster).await;
    let query = reading.start().await;
    reading.catch_up(&query).await;
    reading.proxy.outage(length);
    reading.produce(200);
    let counts = reading.finish(&query).await;
    assert!(counts.cut > 0 && counts.refused > 0, "{counts:?}");
    assert_eq!(query.status().totals.rows_in, u64::from(reading.produced));
}

async fn outages_are_waited_for(cluster: &Cluster) {
    check_outage(cluster, Duration::from_secs(1)).await;
    check_outage(cluster, Duration::from_secs(5)).await;
    if is_long() {
        check_outage(cluster, Duration::from_secs(30)).await;
    }
}

async fn a_silence_is_waited_for(cluster: &Cluster) {
    let mut reading = Reading::new(cluster).await;
    let query = reading.start().await;
    reading.catch_up(&query).await;
    reading.proxy.silence(Duration::from_secs(2));
    reading.produce(200);
    assert!(reading.finish(&query).await.held > 0);
}

async fn a_slow_link_loses_nothing(cluster: &Cluster) {
    let reading = Reading::new(cluster).await;
    reading.proxy.set_link(Link {
        bytes_per_second: Some(60_000),
        ..Link::default()
    });
    let query = reading.start().await;
    assert!(reading.finish(&query).await.paced > 10);
}

async fn late_answers_lose_nothing(cluster: &Cluster) {
    let mut reading = Reading::new(cluster).await;
    reading.proxy.set_link(Link {
        latency: Duration::from_millis(200),
        jitter: Duration::from_millis(50),
        bytes_per_second: None,
    });
    let query = reading.start().await;
    reading.catch_up(&query).await;
    reading.produce(100);
    assert!(reading.finish(&query).await.delayed > 0);
}

macro_rules! on_every_broker {
    ($($test:ident => $scenario:ident),+ $(,)?) => {
        mod mock {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$scenario(&super::Cluster::mock()).await;
            })+
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(cluster) = super::real_cluster() {
                    super::$scenario(&cluster).await;
                }
            })+
        }
    };
}

on_every_broker! {
    torn => torn_fetches_are_asked_for_again,
    damaged_last => a_damaged_last_batch_is_fetched_again,
    damaged_for_ever => damage_that_stays_is_told,
    cut => cuts_are_survived,
    outage => outages_are_waited_for,
    silence => a_silence_is_waited_for,
    narrow => a_slow_link_loses_nothing,
    late => late_answers_lose_nothing,
}

/// Copies a topic to another through a proxy before the sink, and checks that every row is there
/// once. The mock broker writes a repeated request again, so this needs a real one.
async fn check_writing(fault: impl AsyncFnOnce(&KafkaProxy)) -> Option<Counts> {
    let cluster = real_cluster()?;
    let servers = cluster.servers.clone();
    let proxy = KafkaProxy::start(&servers).unwrap();
    let (input, output) = (
        cluster.new_topic("faults-in", 1).await,
        cluster.new_topic("faults-out", 2).await,
    );
    produce(&servers, &input, 0, orders(0, 2000)).await;
    let hw = Headwater::builder().build().unwrap();
    let small = "WITH ('max.records.per.epoch' = 200, ";
    let source = source("orders", &servers, &input).replace("WITH (", small);
    hw.sql(&source).await.unwrap();
    let proxied = proxy.bootstrap_servers();
    hw.sql(&format!(
        "CREATE SINK copies WITH (connector = 'kafka', topic = '{output}',
           'bootstrap.servers' = '{proxied}', 'properties.linger.ms' = '0',
           'properties.socket.timeout.ms' = '3000') FORMAT JSON;
         CREATE SOURCE written (id BIGINT)
         WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}') FORMAT JSON;
         SET trigger = 'available-now';"
    ))
    .await
    .unwrap();
    let started = hw.sql("INSERT INTO copies SELECT id FROM orders");
    let query = in_time("the start", Box::pin(started)).await.unwrap();
    let query = query.into_query().unwrap();
    in_time("the first epoch", query.next_turn()).await;
    fault(&proxy).await;
    in_time("the copy", query.await_termination())
        .await
        .unwrap();
    let counts = proxy.counts();
    let copies = rows(&hw, "SELECT count(*), count(DISTINCT id) FROM written").await;
    assert_eq!(copies, ["2000 2000"], "{counts:?}");
    Some(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_of_writing_double_nothing() {
    let lose = async |proxy: &KafkaProxy| {
        proxy.arrange(RequestKind::Produce, Fault::LoseAnswer, 4);
    };
    let Some(counts) = check_writing(lose).await else {
        return;
    };
    assert_eq!(counts.lost_answers, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withheld_answers_of_writing_double_nothing() {
    let withhold = async |proxy: &KafkaProxy| {
        proxy.arrange(RequestKind::Produce, Fault::WithholdAnswer, 1);
    };
    let Some(counts) = check_writing(withhold).await else {
        return;
    };
    assert_eq!(counts.withheld_answers, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_while_writing_is_waited_for() {
    let outage = async |proxy: &KafkaProxy| proxy.outage(Duration::from_secs(2));
    let Some(counts) = check_writing(outage).await else {
        return;
    };
    assert!(counts.cut > 0 && counts.refused > 0, "{counts:?}");
}

/// Commits one row and one offset per transaction while a request of each loses its answer; a
/// reader of committed rows sees each once. This is librdkafka and the broker alone.
fn check_transactions(request: RequestKind) {
    const TRANSACTIONS: i64 = 4;
    let Some(cluster) = real_cluster() else {
        return;
    };
    let servers = &cluster.servers;
    let proxy = KafkaProxy::start(servers).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let topic = runtime.block_on(cluster.new_topic("faults-transactions", 1));
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", proxy.bootstrap_servers())
        .set("group.id", format!("{topic}-group"));
    let reader: BaseConsumer = config.create().unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", proxy.bootstrap_servers())
        .set("transactional.id", format!("{topic}-writer"))
        .create()
        .unwrap();
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).unwrap();
    let group = reader.group_metadata().unwrap();
    for id in 0..TRANSACTIONS {
        proxy.arrange(request, Fault::LoseAnswer, 1);
        producer.begin_transaction().unwrap();
        let line = format!("{{\"id\":{id}}}");
        let record = BaseRecord::<str, str>::to(&topic).partition(0);
        producer.send(record.payload(&line)).unwrap();
        let mut offsets = TopicPartitionList::new();
        let next = Offset::Offset(id + 1);
        offsets.add_partition_offset(&topic, 0, next).unwrap();
        producer
            .send_offsets_to_transaction(&offsets, &group, wait)
            .unwrap();
        producer.commit_transaction(wait).unwrap();
    }
    let lost = proxy.counts().lost_answers;
    assert_eq!(lost, TRANSACTIONS.unsigned_abs(), "{request:?}");
    let written = runtime.block_on(async {
        let hw = Headwater::builder().build().unwrap();
        hw.sql(&format!(
            "CREATE SOURCE written (id BIGINT) WITH (connector = 'kafka', topic = '{topic}',
               'bootstrap.servers' = '{servers}') FORMAT JSON"
        ))
        .await
        .unwrap();
        rows(&hw, "SELECT id FROM written").await
    });
    assert_eq!(written, ["0", "1", "2", "3"], "{request:?}");
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    let committed = reader.committed_offsets(asked, wait).unwrap();
    let offset = committed.elements()[0].offset();
    assert_eq!(offset, Offset::Offset(TRANSACTIONS), "{request:?}");
}

#[test]
fn lost_answers_of_commits_leave_each_row_once() {
    check_transactions(RequestKind::EndTxn);
}

#[test]
fn lost_answers_of_offsets_in_transactions_leave_each_row_once() {
    check_transactions(RequestKind::AddOffsetsToTxn);
    check_transactions(RequestKind::TxnOffsetCommit);
}

#[test]
fn lost_answers_of_rows_in_transactions_leave_each_row_once() {
    check_transactions(RequestKind::AddPartitionsToTxn);
    check_transactions(RequestKind::Produce);
}
