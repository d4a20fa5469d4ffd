//! What a sink must be able to do.

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;

use headwater_core::ErrorKind;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, SinkContext, Staged};

use super::*;
use crate::Headwater;

/// Takes updates and cannot delete; nothing may come to it.
#[derive(Debug)]
struct KeepsAll(Vec<OutputMode>);

#[async_trait]
impl Sink for KeepsAll {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: self.0.clone(),
            key: vec![],
            loses_null_keys: false,
            takes_deletes: false,
            is_idempotent: true,
            overlaps: false,
        }
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn publication(&self) -> Publication {
        Publication::AfterRecord
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        Ok(None)
    }

    async fn open(&self, _: &SinkContext) -> Result<()> {
        Err(Error::internal("opened"))
    }

    async fn write(
        &self,
        _: EpochId,
        _: usize,
        _: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        Err(Error::internal("written"))
    }

    async fn prepare(&self, _: EpochId, _: Vec<Staged>) -> Result<CommitToken> {
        Err(Error::internal("prepared"))
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, _: EpochId, _: CommitToken) -> Result<()> {
        Err(Error::internal("committed"))
    }

    async fn abort(&self, _: EpochId) -> Result<()> {
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

/// Why a query with HAVING does not start.
async fn refusal(modes: Vec<OutputMode>) -> Error {
    let session = Headwater::builder().build().unwrap();
    session
        .sql("CREATE SOURCE t (k VARCHAR) WITH (connector = 'memory')")
        .await
        .unwrap();
    let query = "SELECT k, count(*) AS n FROM t GROUP BY k HAVING count(*) > 1";
    let stream = session.stream(query).await.unwrap();
    let writer = stream.write_stream().query_name("q");
    let started = writer.sink(Arc::new(KeepsAll(modes))).start().await;
    started.unwrap_err()
}

#[tokio::test]
async fn a_sink_that_cannot_delete_is_refused() {
    let error = refusal(vec![OutputMode::Update]).await;
    assert_eq!(error.message(), "sink \"q\" cannot take rows back");
    let detail = "A row that no longer passes the filter has to go.";
    assert_eq!(error.detail(), Some(detail));
}

/// Why a query without a checkpoint does not start with these options; `None` if it does.
async fn without_checkpoint(set: &[(&str, &str)], with: &str) -> Option<Error> {
    let session = Headwater::builder().build().unwrap();
    session
        .sql(
            "CREATE SOURCE t (k VARCHAR) WITH (connector = 'memory');
             CREATE SINK s WITH (connector = 'blackhole')",
        )
        .await
        .unwrap();
    for (key, value) in set {
        session.set(key, value).unwrap();
    }
    let query = format!("CREATE STREAMING QUERY q {with} AS INSERT INTO s SELECT k FROM t");
    session.sql(&query).await.err()
}

#[tokio::test]
async fn options_without_what_they_need_are_refused() {
    for (option, missing) in [
        ("'checkpoint.interval' = '1 second'", "no checkpoint"),
        ("'checkpoint.retain' = 5", "no checkpoint"),
        ("'checkpoint.allow-state-drop' = 'true'", "no checkpoint"),
        ("'restart.attempts' = 3", "no checkpoint"),
        (
            "'restart.attempts' = 3, 'restart.delay' = '1 s'",
            "no checkpoint",
        ),
        ("'restart.delay' = '1 s'", "no \"restart.attempts\""),
        (
            "'restart.attempts' = 0, 'restart.delay' = '1 s'",
            "no \"restart.attempts\"",
        ),
    ] {
        let error = without_checkpoint(&[], &format!("WITH ({option})")).await;
        let error = error.unwrap_or_else(|| panic!("{option} was accepted"));
        assert_eq!(error.kind(), ErrorKind::Configuration, "{option}");
        assert!(error.message().ends_with(missing), "{option}: {error}");
        assert!(error.hint().is_some(), "{option}");
    }
    let attempts = ("restart.attempts", "3");
    let delay = ("restart.delay", "1 s");
    for (set, missing) in [
        (vec![attempts], "no checkpoint"),
        (vec![delay, attempts], "no checkpoint"),
        (vec![delay], "no \"restart.attempts\""),
    ] {
        let error = without_checkpoint(&set, "").await.unwrap();
        assert!(error.message().ends_with(missing), "{set:?}: {error}");
    }
    let off = "WITH ('restart.attempts' = 0)";
    for (set, with) in [
        (vec![attempts], off),
        (vec![delay, attempts], off),
        (vec![("checkpoint.retain", "5")], ""),
        (vec![("checkpoint.allow-state-drop", "true")], ""),
    ] {
        let error = without_checkpoint(&set, with).await;
        assert!(error.is_none(), "{set:?}: {error:?}");
    }
}
