//! The queries, as users start them: as soon as possible, with a checkpoint on a local disk and a
//! commit for every epoch.

use std::collections::BTreeMap;

use headwater::{Error, Headwater, Result, StreamingQuery};
use tempfile::TempDir;

use crate::clients::{Cluster, FETCH_WAIT_MS, LINGER_MS};
use crate::{Epochs, Subject, broken};

/// A running query.
pub(crate) struct Job {
    query: StreamingQuery,
    /// Of the checkpoint; it goes with the query.
    _folder: TempDir,
}

impl Job {
    pub(crate) async fn start(
        cluster: &Cluster,
        subject: Subject,
        [input, output]: [&str; 2],
    ) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|e| broken("make a folder", &e))?;
        let session = Headwater::builder().build()?;
        let servers = cluster.bootstrap();
        session
            .sql(&format!(
                "CREATE SOURCE feed (id BIGINT, client VARCHAR, amount BIGINT, sent BIGINT)
                 WITH (connector = 'kafka', topic = '{input}', 'bootstrap.servers' = '{servers}',
                       'properties.fetch.wait.max.ms' = {FETCH_WAIT_MS})
                 FORMAT JSON"
            ))
            .await?;
        let delivery = match subject {
            Subject::Relay | Subject::Project | Subject::Update => "at-least-once",
            Subject::ProjectOnce | Subject::UpdateOnce => "exactly-once",
        };
        let (columns, options, query) = match subject.is_aggregate() {
            true => (
                "client VARCHAR, messages BIGINT, newest BIGINT, PRIMARY KEY (client)",
                ", 'output-mode' = 'update'",
                "SELECT client, count(*) AS messages, max(sent) AS newest FROM feed
                 GROUP BY client",
            ),
            false => (
                "id BIGINT, client VARCHAR, sent BIGINT, doubled BIGINT",
                "",
                "SELECT id, client, sent, amount * 2 AS doubled FROM feed WHERE amount >= 0",
            ),
        };
        session
            .sql(&format!(
                "CREATE SINK out ({columns})
                 WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}',
                       'key.columns' = 'client', delivery = '{delivery}',
                       'properties.linger.ms' = {LINGER_MS})
                 FORMAT JSON"
            ))
            .await?;
        let place = folder.path().join("checkpoint");
        let query = format!(
            "CREATE STREAMING QUERY latency WITH (checkpoint = '{}'{options})
             AS INSERT INTO out {query}",
            place.display()
        );
        let spec = session.prepare(&query, None).await?;
        Ok(Job {
            query: StreamingQuery::start(spec).await?,
            _folder: folder,
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.query.is_active() {
            return Ok(());
        }
        let failure = self.query.exception();
        Err(failure.unwrap_or_else(|| Error::internal("the query has ended")))
    }

    pub(crate) async fn stop(self) -> Result<Epochs> {
        self.query.stop().await?;
        let recent = self.query.recent_progress();
        let mut times: Vec<f64> = recent.iter().map(|p| p.processing_time_ms).collect();
        times.sort_by(f64::total_cmp);
        let mut steps_ms = BTreeMap::new();
        for (step, ms) in recent.iter().flat_map(|p| &p.step_times_ms) {
            *steps_ms.entry(step.clone()).or_default() += ms / recent.len() as f64;
        }
        Ok(Epochs {
            count: self.query.status().totals.epochs,
            median_ms: times.get(times.len() / 2).copied().unwrap_or_default(),
            steps_ms,
        })
    }
}
