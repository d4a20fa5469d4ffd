//! Every fault, between a client and a mock broker: that it happens, that it is counted, and what
//! a client makes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_core::clock::{Clock, SystemClock};
use headwater_kafka::DevBroker;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Counts, Fault, KafkaProxy, Link, RequestKind};

const TOPIC: &str = "t";
const WAIT: Duration = Duration::from_secs(30);

/// A broker with a topic of one partition, and a proxy before it.
fn proxied() -> (DevBroker, KafkaProxy) {
    let broker = DevBroker::start(&[(TOPIC.to_string(), 1)]).unwrap();
    let proxy = KafkaProxy::start(&broker.bootstrap_servers()).unwrap();
    (broker, proxy)
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("reconnect.backoff.max.ms", "200")
        .set("socket.timeout.ms", "2000");
    config
}

/// Writes numbers, each in a request of its own.
fn write(servers: &str, numbers: std::ops::Range<u32>) {
    let producer: BaseProducer = config(servers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()
        .unwrap();
    for number in numbers {
        let value = number.to_string();
        let record = BaseRecord::<str, str>::to(TOPIC)
            .partition(0)
            .payload(&value);
        producer.send(record).unwrap();
        producer.flush(WAIT).unwrap();
    }
}

fn consumer(servers: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config(servers)
        .set("group.id", "g")
        .set("check.crcs", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, 0, Offset::Offset(0))
        .unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

/// What comes until there are `count` numbers, with the errors in between.
fn read(servers: &str, count: usize) -> (Vec<u32>, Vec<RDKafkaErrorCode>) {
    let consumer = consumer(servers);
    let (mut numbers, mut errors) = (Vec::new(), Vec::new());
    let clock = SystemClock::new();
    while numbers.len() < count {
        assert!(clock.elapsed() < WAIT, "{numbers:?} {errors:?}");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Err(error)) => errors.extend(error.rdkafka_error_code()),
            Some(Ok(message)) => {
                let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
                numbers.push(text.parse().unwrap());
            }
        }
    }
    (numbers, errors)
}

/// Writes 20 numbers while a fault happens to some of the Produce requests, and looks at the
/// broker itself how many are there twice. The mock broker does not know a repeated request, so
/// every request that it carried out and did not answer shows.
fn check_writing(fault: Fault, times: u32, expected: Counts, doubled: usize) {
    let (broker, proxy) = proxied();
    proxy.arrange(RequestKind::Produce, fault, times);
    write(&proxy.bootstrap_servers(), 0..20);
    assert_eq!(proxy.counts(), expected, "{fault:?}");
    assert_eq!(proxy.outstanding(), 0, "{fault:?}");
    let (numbers, _) = read(&broker.bootstrap_servers(), 20 + doubled);
    let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
    assert_eq!(distinct, (0..20).collect(), "{fault:?}");
}

/// Reads 40 numbers while a fault happens to some of the Fetch answers.
fn check_reading(fault: Fault, times: u32, expected: Counts) {
    let (broker, proxy) = proxied();
    write(&broker.bootstrap_servers(), 0..40);
    proxy.arrange(RequestKind::Fetch, fault, times);
    let (numbers, _) = read(&proxy.bootstrap_servers(), 40);
    assert_eq!(proxy.counts(), expected, "{fault:?}");
    assert_eq!(numbers, (0..40).collect::<Vec<_>>(), "{fault:?}");
}

#[test]
fn a_client_does_not_leave_the_proxy() {
    let topics = [(TOPIC.to_string(), 1)];
    let broker = DevBroker::start_cluster(3, &topics).unwrap();
    let proxy = KafkaProxy::start(&broker.bootstrap_servers()).unwrap();
    for leader in [1, 2, 3] {
        broker.move_leader(TOPIC, 0, leader).unwrap();
        let before = proxy.requests(RequestKind::Produce);
        let from = u32::try_from(leader).unwrap() * 10;
        write(&proxy.bootstrap_servers(), from..from + 10);
        let seen = proxy.requests(RequestKind::Produce) - before;
        assert!(seen >= 10, "{seen} requests to broker {leader}");
    }
    let (numbers, errors) = read(&proxy.bootstrap_servers(), 30);
    assert_eq!(numbers, (10..40).collect::<Vec<_>>());
    assert_eq!(errors, []);
    assert!(proxy.requests(RequestKind::Fetch) > 0);
    assert_eq!(proxy.counts(), Counts::default());
}

#[test]
fn lost_requests_are_not_carried_out_and_lost_answers_are() {
    let lost_answers = Counts {
        lost_answers: 2,
        ..Counts::default()
    };
    check_writing(Fault::LoseAnswer, 2, lost_answers, 2);
    let lost_requests = Counts {
        lost_requests: 2,
        ..Counts::default()
    };
    check_writing(Fault::LoseRequest, 2, lost_requests, 0);
    let withheld_answers = Counts {
        withheld_answers: 1,
        ..Counts::default()
    };
    check_writing(Fault::WithholdAnswer, 1, withheld_answers, 1);
}

#[test]
fn torn_and_lost_answers_of_reading_are_asked_for_again() {
    let torn_answers = Counts {
        torn_answers: 2,
        ..Counts::default()
    };
    check_reading(Fault::TearAnswer { at: 100 }, 2, torn_answers);
    let lost_answers = Counts {
        lost_answers: 2,
        ..Counts::default()
    };
    check_reading(Fault::LoseAnswer, 2, lost_answers);
}

#[test]
fn a_changed_bit_is_told_by_the_checksum() {
    let (broker, proxy) = proxied();
    write(&broker.bootstrap_servers(), 0..1);
    let flip = Fault::FlipBit {
        from_end: 3,
        min_bytes: 100,
    };
    proxy.arrange(RequestKind::Fetch, flip, 1);
    let (numbers, errors) = read(&proxy.bootstrap_servers(), 1);
    assert_eq!((numbers, proxy.counts().flipped_bits), (vec![0], 1));
    assert_eq!(errors, [RDKafkaErrorCode::BadMessage]);
}

#[test]
fn an_outage_ends_connections_and_passes() {
    let (broker, proxy) = proxied();
    write(&broker.bootstrap_servers(), 0..10);
    let (numbers, _) = read(&proxy.bootstrap_servers(), 10);
    assert_eq!(numbers.len(), 10);
    proxy.outage(Duration::from_millis(700));
    write(&proxy.bootstrap_servers(), 10..20);
    let counts = proxy.counts();
    assert!(counts.refused > 0, "{counts:?}");
    let (numbers, _) = read(&broker.bootstrap_servers(), 20);
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_cut_and_a_silence_are_survived() {
    let (broker, proxy) = proxied();
    write(&broker.bootstrap_servers(), 0..10);
    let reader = consumer(&proxy.bootstrap_servers());
    let mut seen = BTreeSet::new();
    let clock = SystemClock::new();
    for (round, wanted) in (1_u64..=3).zip([10, 20, 30]) {
        while seen.len() < wanted {
            assert!(clock.elapsed() < WAIT, "{} in round {round}", seen.len());
            if let Some(Ok(message)) = reader.poll(Duration::from_millis(50)) {
                seen.insert(message.offset());
            }
        }
        match round {
            1 => proxy.cut(),
            2 => proxy.silence(Duration::from_millis(600)),
            _ => break,
        }
        let next = u32::try_from(wanted).unwrap();
        write(&broker.bootstrap_servers(), next..next + 10);
    }
    let counts = proxy.counts();
    assert!(counts.cut > 0 && counts.held > 0, "{counts:?}");
}

#[test]
fn a_link_can_be_slow_and_narrow() {
    let (broker, proxy) = proxied();
    write(&broker.bootstrap_servers(), 0..10);
    proxy.set_link(Link {
        latency: Duration::from_millis(100),
        jitter: Duration::from_millis(50),
        bytes_per_second: None,
    });
    let clock = SystemClock::new();
    assert_eq!(read(&proxy.bootstrap_servers(), 10).0.len(), 10);
    // Versions, metadata and a fetch come one after the other.
    assert!(clock.elapsed() >= Duration::from_millis(300));
    assert!(proxy.counts().delayed >= 3);
    proxy.set_link(Link {
        bytes_per_second: Some(2000),
        ..Link::default()
    });
    let clock = SystemClock::new();
    assert_eq!(read(&proxy.bootstrap_servers(), 10).0.len(), 10);
    let seconds = clock.elapsed().as_secs_f64();
    assert!(seconds > 0.25, "700 bytes and more in {seconds} s");
    assert!(proxy.counts().paced > 0);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let error = KafkaProxy::start("nobody").unwrap_err();
    assert_eq!(error.message(), "\"nobody\" is not the address of a broker");
}
