//! The `stdin` connector: standard input, one record a line; the source ends with the input.

use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use headwater_core::Result;
use headwater_core::connector::{Connector, DeclaredSource, SourceContext, SourceDefinition};
use headwater_core::options::OptionReader;
use headwater_core::source::{EpochLimits, Source};

use crate::line_stream::{LineInput, LineSource, LineStream, known_metadata};
use crate::options::take_max_records;
use crate::record_rows::RecordRows;

/// The connector `stdin`.
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `format` | how a line is decoded | `text` |
/// | `max.records.per.epoch` | records one epoch reads | what is there |
pub struct StdinConnector {
    input: Arc<dyn LineInput>,
}

impl StdinConnector {
    /// A connector that reads what `open` opens in place of standard input; `open` runs on the
    /// thread that reads.
    pub fn reading<F>(open: F) -> Self
    where
        F: Fn() -> io::Result<Box<dyn BufRead>> + Send + Sync + 'static,
    {
        StdinConnector {
            input: Arc::new(open),
        }
    }
}

impl Default for StdinConnector {
    fn default() -> Self {
        Self::reading(|| Ok(Box::new(io::stdin().lock())))
    }
}

impl fmt::Debug for StdinConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinConnector").finish_non_exhaustive()
    }
}

impl Connector for StdinConnector {
    fn name(&self) -> &'static str {
        "stdin"
    }

    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        Ok(Arc::new(DeclaredStdin {
            rows: Arc::new(RecordRows::try_new(definition, &known_metadata(), options)?),
            limits: EpochLimits {
                max_records: take_max_records(options)?,
            },
            stream: LineStream::new("stdin", Arc::clone(&self.input)),
        }))
    }
}

/// The lines belong to the declaration: a query that is opened again in the same process goes on
/// with the lines that were read and not committed.
#[derive(Debug)]
struct DeclaredStdin {
    rows: Arc<RecordRows>,
    limits: EpochLimits,
    stream: Arc<LineStream>,
}

#[async_trait]
impl DeclaredSource for DeclaredStdin {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn limits(&self) -> EpochLimits {
        self.limits
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        let stream = Arc::clone(&self.stream);
        let source = LineSource::new(stream, Arc::clone(&self.rows), context.use_of);
        Ok(Arc::new(source))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use headwater_core::connector::SourceUse;
    use headwater_core::format::BadDataPolicy;
    use headwater_core::options::Options;

    use super::*;
    use crate::test_support::{TestJournal, manual_clock, read_all, source_context};

    #[tokio::test]
    async fn a_source_opened_again_has_what_was_not_committed() {
        let connector = StdinConnector::reading(|| Ok(Box::new(Cursor::new(b"a\nb\n"))));
        let definition = SourceDefinition {
            name: "s".to_string(),
            payload: None,
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        };
        let mut options = OptionReader::new("source \"s\"", &Options::new());
        let declared = connector.declare_source(definition, &mut options).unwrap();
        let (clock, journal) = (manual_clock(), Arc::<TestJournal>::default());
        for use_of in [SourceUse::BoundedRead, SourceUse::Stream] {
            let context = source_context(&clock, &journal, use_of);
            let source = declared.open(context).await.unwrap();
            let start = source.initial().await.unwrap();
            let end = source.latest().await.unwrap();
            let rows = read_all(source.as_ref(), &start, &end).await.unwrap();
            assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), 2);
        }
    }
}
