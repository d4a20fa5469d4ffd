//! The sink: rows of an epoch are produced as they come and are all safe when `prepare` returns.
//!
//! | delivery | rows are visible | an epoch that runs again |
//! | --- | --- | --- |
//! | exactly once | when their transaction is committed (`transaction.rs`) | was aborted before |
//! | at least once | when they are written | is written again |
//!
//! A retry inside the producer never doubles a row (`enable.idempotence`).
//! Input: rows in the query's schema. Output: one message per row, with the key columns as key; for a
//! row that is gone a tombstone, the key without a value, which makes a compacted topic forget it.
//! Replay: at least once doubles rows; readers that keep the newest row of a key see each once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use headwater_core::changes::split_ops;
use headwater_core::connector::{DeclaredSink, Place, SinkDefinition};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{
    self, CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged,
};
use headwater_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::cluster::{Cluster, ask, blocking};
use crate::delivery::{Deliveries, Row, RowProducer};
use crate::options::{Delivery, SinkOptions};
use crate::row_encoder::{MessageForm, Messages, OpenFormats, RowEncoder};
use crate::topics::TopicChoice;
use crate::transaction::{TransactionSpec, Transactions};

/// A sink as declared.
#[derive(Debug)]
pub(crate) struct KafkaSinkSpec {
    owner: String,
    options: SinkOptions,
    form: MessageForm,
}

impl KafkaSinkSpec {
    /// Checks the format and, if the columns are known, that rows can be written.
    pub(crate) fn declare(
        owner: &str,
        definition: &SinkDefinition,
        options: SinkOptions,
    ) -> Result<Self> {
        let form = MessageForm::declare(owner, definition, &options.key)?;
        if let Some(schema) = &definition.schema {
            RowEncoder::try_new(owner, &form, None, schema)?;
        }
        Ok(KafkaSinkSpec {
            owner: owner.to_string(),
            options,
            form,
        })
    }

    /// What the user asked for, or the best that the query allows.
    fn delivery(&self, context: &SinkContext) -> Result<Delivery> {
        let wanted = self.options.delivery;
        let refused = match (wanted, context.transactions) {
            (Some(Delivery::AtLeastOnce), _) => return Ok(Delivery::AtLeastOnce),
            (_, sink::Transactions::Allowed) => return Ok(Delivery::ExactlyOnce),
            (None, _) => return Ok(Delivery::AtLeastOnce),
            (Some(Delivery::ExactlyOnce), sink::Transactions::NoCheckpoint) => {
                Error::configuration(format!(
                    "{} delivers exactly once only what a query with a checkpoint writes",
                    self.owner
                ))
                .with_detail(format!(
                    "Query \"{}\" has none, so it begins anew in a new process and writes its rows \
                     again.",
                    context.query_name
                ))
                .with_hint(
                    "Give the query a checkpoint, WITH (checkpoint = '…'), or use 'delivery' = \
                     'at-least-once'.",
                )
            }
            (Some(Delivery::ExactlyOnce), sink::Transactions::Beside) => {
                Error::configuration(format!(
                    "{} cannot deliver late rows or dead letters exactly once",
                    self.owner
                ))
                .with_detail(format!(
                    "One transaction decides whether an epoch of query \"{}\" has happened, and \
                         that is the one of its result.",
                    context.query_name
                ))
                .with_hint(
                    "Use 'delivery' = 'at-least-once' for them, or write them to a filesystem \
                         sink.",
                )
            }
        };
        Err(refused)
    }

    fn transactions(&self, context: &SinkContext, seen: Option<EpochId>) -> TransactionSpec {
        TransactionSpec {
            owner: self.owner.clone(),
            connection: self.options.connection.clone(),
            topic: self.options.topic.clone(),
            query: context.query.clone(),
            id_prefix: self.options.id_prefix.clone(),
            commit_interval: context.commit_interval,
            seen,
        }
    }
}

/// A declared sink; the connector's part of a catalog entry.
#[derive(Debug)]
pub(crate) struct DeclaredKafkaSink(pub(crate) Arc<KafkaSinkSpec>);

impl DeclaredSink for DeclaredKafkaSink {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(KafkaSink::new(Arc::clone(&self.0))))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(self.open()?.capabilities())
    }

    fn max_row_bytes(&self) -> Option<usize> {
        Some(self.0.options.connection.max_message_bytes())
    }

    fn place(&self) -> Option<Place> {
        let options = &self.0.options;
        Some(Place {
            system: options.connection.servers().to_string(),
            name: options.topic.clone(),
        })
    }

    fn record_schema(&self) -> Option<SchemaRef> {
        (self.0.form == MessageForm::Record).then(MessageForm::record_schema)
    }
}

/// A sink of one query.
#[derive(Debug)]
pub(crate) struct KafkaSink {
    spec: Arc<KafkaSinkSpec>,
    /// Of delivery exactly once, which is known when the sink is open.
    transactions: Mutex<Option<Arc<Transactions>>>,
    /// Of delivery at least once. Made when it is first needed, and again after a failure: a
    /// producer that lost a row may be of no more use.
    producer: Mutex<Option<Arc<RowProducer>>>,
    /// Whether rows say what they do to the result, in the last column.
    has_ops: AtomicBool,
    /// The format of the rows, which is known when the sink is open.
    formats: Mutex<Option<OpenFormats>>,
    /// The rows of epochs that are not prepared yet.
    epochs: Mutex<BTreeMap<EpochId, Arc<Deliveries>>>,
}

impl KafkaSink {
    fn new(spec: Arc<KafkaSinkSpec>) -> Self {
        KafkaSink {
            spec,
            transactions: Mutex::new(None),
            producer: Mutex::new(None),
            has_ops: AtomicBool::new(false),
            formats: Mutex::new(None),
            epochs: Mutex::new(BTreeMap::new()),
        }
    }

    fn transactions(&self) -> Option<Arc<Transactions>> {
        self.transactions.lock().clone()
    }

    /// The producer for rows of an epoch; in a transaction, if it is to be one.
    async fn producer(&self, epoch: EpochId) -> Result<Arc<RowProducer>> {
        let Some(transactions) = self.transactions() else {
            return self.plain_producer();
        };
        match transactions.open_producer() {
            Some(producer) => Ok(producer),
            None => blocking(move || transactions.begin(epoch)).await,
        }
    }

    fn plain_producer(&self) -> Result<Arc<RowProducer>> {
        let mut producer = self.producer.lock();
        if let Some(producer) = &*producer {
            return Ok(Arc::clone(producer));
        }
        let made = RowProducer::connect(&self.spec.owner, &self.spec.options.connection)?;
        Ok(Arc::clone(producer.insert(Arc::new(made))))
    }

    /// Sends the last rows of an epoch, which would wait for others that do not come.
    async fn send_waiting(&self) -> Result<()> {
        let producer = match self.transactions() {
            Some(transactions) => transactions.open_producer(),
            None => self.producer.lock().clone(),
        };
        match producer {
            Some(producer) => producer.send_waiting().await,
            None => Ok(()),
        }
    }

    fn tombstone_without_key(&self) -> Error {
        let columns = self.spec.options.key.columns.join(", ");
        Error::bad_data(format!(
            "{} cannot delete a row whose key ({columns}) is NULL",
            self.spec.owner
        ))
        .with_detail("A message without a key deletes nothing.")
        .with_hint(
            "Select another value for NULL, such as coalesce(…, ''), or leave such rows out.",
        )
    }

    /// Gives the producer up with whatever it has not delivered.
    async fn drop_plain_producer(&self) -> Result<()> {
        let producer = self.producer.lock().take();
        blocking(move || {
            drop(producer);
            Ok(())
        })
        .await
    }

    /// Forgets whatever was not committed.
    async fn forget(&self) -> Result<()> {
        self.epochs.lock().clear();
        let transactions = self.transactions.lock().take();
        blocking(move || {
            drop(transactions);
            Ok(())
        })
        .await?;
        self.drop_plain_producer().await
    }

    fn deliveries(&self, epoch: EpochId) -> Arc<Deliveries> {
        Arc::clone(self.epochs.lock().entry(epoch).or_default())
    }

    /// Waits until the rows of an epoch are delivered.
    async fn settled(&self, epoch: EpochId) -> Result<()> {
        let Some(deliveries) = self.epochs.lock().get(&epoch).cloned() else {
            return Ok(());
        };
        self.send_waiting().await?;
        let topic = &self.spec.options.topic;
        let Some(transactions) = self.transactions() else {
            deliveries.settle().await;
            return deliveries.check(topic);
        };
        deliveries.settle_or_fail().await;
        let delivered = deliveries.check(topic);
        delivered.map_err(|error| match transactions.open_producer() {
            Some(producer) => transactions.why_not_sent(&producer, error),
            None => error,
        })
    }

    /// Forgets the rows of an epoch. Says whether no others are on their way: then nobody needs a
    /// producer that has lost some.
    fn leave(&self, epoch: EpochId) -> bool {
        let mut epochs = self.epochs.lock();
        epochs.remove(&epoch);
        epochs.is_empty()
    }

    fn encoder(&self, schema: &SchemaRef) -> Result<RowEncoder> {
        let (spec, formats) = (&self.spec, self.formats.lock());
        RowEncoder::try_new(&spec.owner, &spec.form, formats.as_ref(), schema)
    }

    /// Refuses to delete rows that have no key.
    fn check_deleted(&self, messages: &Messages) -> Result<()> {
        let mut gone = messages.gone.iter().enumerate();
        if gone.any(|(row, is_gone)| *is_gone && messages.key(row).is_none()) {
            return Err(self.tombstone_without_key());
        }
        Ok(())
    }

    async fn send(
        &self,
        messages: &Messages,
        producer: &Arc<RowProducer>,
        deliveries: &Arc<Deliveries>,
    ) -> Result<()> {
        for row in 0..messages.gone.len() {
            let headers = messages.headers(row);
            let message = Row {
                partition: None,
                key: messages.key(row),
                value: messages.value(row),
                headers: &headers,
            };
            producer
                .send(&self.spec.options.topic, message, deliveries)
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn capabilities(&self) -> SinkCapabilities {
        // Not of a sink that is not open yet.
        let has_transactions = self.transactions.lock().is_some();
        let key = self.spec.options.key.columns.clone();
        let mut modes = vec![OutputMode::Append];
        if !key.is_empty() {
            modes.push(OutputMode::Update);
        }
        SinkCapabilities {
            modes,
            // Of several columns the key is an object, which is there whatever they are.
            loses_null_keys: key.len() == 1,
            takes_deletes: !key.is_empty(),
            key,
            is_idempotent: match &*self.transactions.lock() {
                Some(_) => true,
                // Not open yet.
                None => self.spec.options.delivery == Some(Delivery::ExactlyOnce),
            },
            overlaps: !has_transactions,
        }
    }

    /// What a process that died in doubt had noted lies there.
    fn identity(&self) -> Vec<(&'static str, String)> {
        let options = &self.spec.options;
        if options.delivery == Some(Delivery::AtLeastOnce) {
            return vec![];
        }
        vec![
            ("topic", options.topic.clone()),
            ("transactional.id.prefix", options.id_prefix.clone()),
        ]
    }

    fn publication(&self) -> Publication {
        match &*self.transactions.lock() {
            Some(_) => Publication::Transaction,
            None => Publication::AfterRecord,
        }
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        match self.transactions() {
            Some(transactions) => blocking(move || transactions.last_published()).await,
            None => Ok(None),
        }
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        let delivery = self.spec.delivery(context)?;
        // A query that failed opens its sink again. Another instance may have gone on meanwhile, and
        // is told by epochs that this one has never heard of.
        let before = self.transactions();
        let seen = before.and_then(|before| before.seen_of(&context.query));
        self.forget().await?;
        let spec = &self.spec;
        let rows = context.row_schema();
        RowEncoder::try_new(&spec.owner, &spec.form, None, &rows)?;
        self.has_ops.store(context.has_ops, Ordering::Release);
        let cluster = Cluster::connect(&self.spec.owner, &self.spec.options.connection)?;
        let topic = TopicChoice::Named(vec![self.spec.options.topic.clone()]);
        ask(&cluster, move |cluster| cluster.partitions(&topic))
            .await
            .map_err(of_a_sink)?;
        *self.formats.lock() = spec
            .form
            .open(&spec.owner, &spec.options.topic, &rows)
            .await?;
        match delivery {
            Delivery::AtLeastOnce => drop(self.plain_producer()?),
            Delivery::ExactlyOnce => {
                let spec = self.spec.transactions(context, seen);
                let opened = blocking(move || Transactions::open(spec)).await?;
                *self.transactions.lock() = Some(Arc::new(opened));
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        epoch: EpochId,
        _partition: usize,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        if let Some(transactions) = self.transactions() {
            transactions.expect_rows(epoch)?;
        }
        let deliveries = self.deliveries(epoch);
        let mut encoder: Option<RowEncoder> = None;
        let mut staged = Staged::default();
        let has_ops = self.has_ops.load(Ordering::Acquire);
        while let Some(batch) = rows.next().await {
            let (batch, ops) = match has_ops {
                true => split_ops(&batch?).map(|(rows, ops)| (rows, Some(ops)))?,
                false => (batch?, None),
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let encoder = match &mut encoder {
                Some(encoder) => encoder,
                None => encoder.insert(self.encoder(&batch.schema())?),
            };
            let messages = encoder.encode(&batch, ops.as_ref())?;
            self.check_deleted(&messages)?;
            let producer = self.producer(epoch).await?;
            let sent = self.send(&messages, &producer, &deliveries).await;
            if let Err(error) = sent {
                return Err(match self.transactions() {
                    Some(transactions) => transactions.why_not_sent(&producer, error),
                    None => error,
                });
            }
            staged.rows += batch.num_rows() as u64;
        }
        Ok(staged)
    }

    async fn prepare(&self, epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        let settled = self.settled(epoch).await;
        let was_alone = self.leave(epoch);
        match (settled, self.transactions()) {
            (Ok(()), Some(transactions)) => transactions.prepared(epoch),
            (Ok(()), None) => {}
            (Err(error), None) if was_alone => {
                self.drop_plain_producer().await?;
                return Err(error);
            }
            (Err(error), _) => return Err(error),
        }
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(sink::as_prepared(prepared))
    }

    async fn commit(&self, epoch: EpochId, _token: CommitToken) -> Result<()> {
        match self.transactions() {
            Some(transactions) => blocking(move || transactions.commit(epoch)).await,
            None => Ok(()),
        }
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        if let Some(transactions) = self.transactions() {
            self.epochs.lock().clear();
            return blocking(move || transactions.abort()).await;
        }
        // Rows of earlier epochs may be on their way, and those of this one do no harm.
        let was_written = self.epochs.lock().contains_key(&epoch);
        if self.leave(epoch) && was_written {
            self.drop_plain_producer().await?;
        }
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

/// The cluster's answers are worded for sources; a broker out of reach is the sink's trouble.
fn of_a_sink(error: Error) -> Error {
    if error.kind() != ErrorKind::Source {
        return error;
    }
    let mut own = Error::sink_failed(error.message());
    if let Some(detail) = error.detail() {
        own = own.with_detail(detail);
    }
    if let Some(hint) = error.hint() {
        own = own.with_hint(hint);
    }
    own
}
