//! Other Kafka clients read what headwater writes, and headwater what they write: `confluent-kafka`
//! for Python, with the serializers of its registry, and kcat.
//!
//! | file | what |
//! | --- | --- |
//! | `formats.rs` | every format, with the edge values of every type |
//! | `records.rs` | keys, headers, timestamps, records without a value; every codec |
//!
//! `HEADWATER_TEST_PEERS` and `HEADWATER_TEST_KCAT` say where the clients are, and
//! `HEADWATER_TEST_BOOTSTRAP` the broker; `cargo xtask test` sets them. Unset, these tests fail.

mod clients;
mod formats;
mod records;
mod rows;

use clients::{Kcat, Peer};
use headwater::Headwater;
use headwater_tests::{kcat, python_packages, real_broker};

use crate::kafka::Cluster;

/// The broker and the clients.
struct Bench {
    cluster: Cluster,
    peer: Option<Peer>,
    kcat: Option<Kcat>,
}

impl Bench {
    /// Nothing if the run was told to do without a broker.
    fn find() -> Option<Self> {
        let servers = real_broker()?;
        Some(Bench {
            peer: python_packages().map(|packages| Peer::new(packages, &servers)),
            kcat: kcat().map(|command| Kcat::new(command, &servers)),
            cluster: Cluster {
                servers,
                mock: None,
            },
        })
    }

    async fn topic(&self, name: &str) -> String {
        self.cluster.new_topic(&format!("interop-{name}"), 1).await
    }

    /// `connector = 'kafka', …`
    fn options(&self, topic: &str) -> String {
        let servers = &self.cluster.servers;
        format!("connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}'")
    }
}

/// Runs an `INSERT` over all that its source has.
async fn insert(hw: &Headwater, sql: &str) {
    hw.sql("SET trigger = 'available-now'").await.unwrap();
    let query = hw.sql(sql).await.unwrap().into_query().unwrap();
    query.await_termination().await.unwrap();
}
