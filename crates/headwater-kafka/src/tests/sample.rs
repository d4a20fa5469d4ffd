//! Samples of topics: how many messages, of which partitions, and that nothing is waited for.

use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use headwater_core::Result;
use headwater_core::clock::SystemClock;
use headwater_core::connector::{Connector, SamplerDefinition};
use headwater_core::options::OptionReader;
use headwater_core::sample::SampleLimits;

use super::fixture::{broker, put, text, within};
use crate::KafkaConnector;

async fn sampled(pairs: &[(&str, &str)], limits: SampleLimits) -> Result<Vec<String>> {
    let mut options = OptionReader::new("source \"s\"", &pairs.iter().copied().collect());
    let definition = SamplerDefinition {
        name: "s".to_string(),
        format: None,
    };
    let sampler = KafkaConnector::default().declare_sampler(definition, &mut options)?;
    options.finish()?;
    let clock = Arc::new(SystemClock::new());
    let sample = within(30, sampler.sample(limits, clock)).await?;
    let keys = sample.keys.map_or(0, |keys| keys.len());
    assert!([0, sample.payloads.len()].contains(&keys));
    Ok(sorted(&sample.payloads))
}

fn sorted(payloads: &BinaryArray) -> Vec<String> {
    let shown = |p: Option<&[u8]>| String::from_utf8_lossy(p.unwrap_or_default()).into_owned();
    let mut values: Vec<String> = payloads.iter().map(shown).collect();
    values.sort();
    values
}

fn records(records: usize) -> SampleLimits {
    SampleLimits {
        records,
        ..SampleLimits::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_spread_over_partitions_and_bounded() {
    let broker = broker(&[("t", 3), ("empty", 2)]);
    let servers = broker.bootstrap_servers();
    let messages = (0..6).map(|n| text(n / 3, format!("{}{}", n / 3, n % 3)));
    put(&servers, "t", &messages.collect::<Vec<_>>());
    let base = |topic| [("bootstrap.servers", servers.as_str()), ("topic", topic)];
    let [a, b] = base("t");
    let of_t = |more: &[(&'static str, &'static str)]| [&[a, b], more].concat();
    let all = sampled(&of_t(&[]), records(100)).await.unwrap();
    assert_eq!(all, ["00", "01", "02", "10", "11", "12"]);
    let first = sampled(&of_t(&[]), records(4)).await.unwrap();
    assert_eq!(first, ["00", "01", "10", "11"]);
    let last = sampled(&of_t(&[("start", "latest")]), records(2))
        .await
        .unwrap();
    assert_eq!(last, ["02", "12"]);
    let bytes = SampleLimits {
        bytes: 3,
        ..SampleLimits::default()
    };
    assert_eq!(sampled(&of_t(&[]), bytes).await.unwrap().len(), 2);
    let nothing = sampled(&base("empty"), records(10)).await.unwrap();
    assert!(nothing.is_empty());
    assert!(sampled(&base("none"), records(10)).await.is_err());
}
