//! The `socket` connector: the lines that a TCP server sends, for demonstrations (`nc -lk 9999`).
//! The source ends when the server closes the connection; every query has its own connection.
//!
//! Source: Spark's `TextSocketSource`.

use std::io::{self, BufRead, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use parking_lot::Mutex;

use headwater_core::connector::{
    Connector, DeclaredSource, SourceContext, SourceDefinition, SourceUse,
};
use headwater_core::options::OptionReader;
use headwater_core::source::{EpochLimits, Source};
use headwater_core::{Error, Result};

use crate::line_stream::{LineInput, LineSource, LineStream, known_metadata};
use crate::options::take_max_records;
use crate::record_rows::RecordRows;

/// The connector `socket`.
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `host` | server | `localhost` |
/// | `port` | its port | |
/// | `format` | how a line is decoded | `text` |
/// | `max.records.per.epoch` | records one epoch reads | what is there |
#[derive(Debug, Default)]
pub struct SocketConnector;

impl Connector for SocketConnector {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        let host = options.take("host", &["hostname"])?;
        let port = options.require("port", &[], "9999")?;
        let Ok(port) = port.trim().parse::<u16>() else {
            return Err(options.bad_value("port", &port, "a number from 1 to 65535"));
        };
        Ok(Arc::new(DeclaredSocket {
            rows: Arc::new(RecordRows::try_new(definition, &known_metadata(), options)?),
            limits: EpochLimits {
                max_records: take_max_records(options)?,
            },
            host: host.unwrap_or_else(|| "localhost".to_string()),
            port,
        }))
    }
}

#[derive(Debug)]
struct DeclaredSocket {
    rows: Arc<RecordRows>,
    limits: EpochLimits,
    host: String,
    port: u16,
}

#[async_trait]
impl DeclaredSource for DeclaredSocket {
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
        if context.use_of == SourceUse::BoundedRead {
            return Err(Error::unsupported(format!(
                "{} cannot be read to an end: a socket has none",
                self.rows.owner()
            ))
            .with_hint("Use a streaming query, for example SELECT STREAM."));
        }
        let connection = Connection {
            host: self.host.clone(),
            port: self.port,
            stream: Mutex::new(None),
        };
        let stream = LineStream::new("socket", Arc::new(connection));
        let source = LineSource::new(stream, Arc::clone(&self.rows), context.use_of);
        Ok(Arc::new(source))
    }
}

/// A connection that the reading thread makes and that is shut down when the source goes.
#[derive(Debug)]
struct Connection {
    host: String,
    port: u16,
    stream: Mutex<Option<TcpStream>>,
}

impl LineInput for Connection {
    fn open(&self) -> io::Result<Box<dyn BufRead>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))?;
        *self.stream.lock() = Some(stream.try_clone()?);
        Ok(Box::new(BufReader::new(stream)))
    }

    fn close(&self) {
        if let Some(stream) = self.stream.lock().take() {
            // The server may have closed it before.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use headwater_core::ErrorKind;
    use headwater_core::format::BadDataPolicy;
    use headwater_core::offset::{Offsets, Partition};
    use headwater_core::options::Options;

    use super::*;
    use crate::test_support::{TestJournal, manual_clock, read_all, source_context};

    fn declare(port: u16) -> Arc<dyn DeclaredSource> {
        let definition = SourceDefinition {
            name: "s".to_string(),
            payload: None,
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        };
        let port = port.to_string();
        let written: Options = [("host", "127.0.0.1"), ("port", &port)]
            .into_iter()
            .collect();
        let mut options = OptionReader::new("source \"s\"", &written);
        SocketConnector
            .declare_source(definition, &mut options)
            .unwrap()
    }

    async fn open(port: u16, use_of: SourceUse) -> Result<Arc<dyn Source>> {
        let journal = Arc::<TestJournal>::default();
        let context = source_context(&manual_clock(), &journal, use_of);
        declare(port).open(context).await
    }

    fn at(offset: i64) -> Offsets {
        Offsets::from_iter([(Partition::new("socket", 0), offset)])
    }

    #[tokio::test]
    async fn lines_come_until_the_server_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = open(listener.local_addr().unwrap().port(), SourceUse::Stream)
            .await
            .unwrap();
        // The first question connects.
        source
            .available(&at(0), &EpochLimits::default())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"one two\nthree").unwrap();
        source.wait_ready(&at(0)).await.unwrap();
        let rows = read_all(source.as_ref(), &at(0), &at(1)).await.unwrap();
        assert_eq!(rows[0].num_rows(), 1);
        drop(server);
        source.wait_ready(&at(1)).await.unwrap();
        source.wait_ready(&at(2)).await.unwrap();
        assert!(source.has_ended(&at(2)));
    }

    #[tokio::test]
    async fn a_source_that_goes_closes_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = open(listener.local_addr().unwrap().port(), SourceUse::Stream)
            .await
            .unwrap();
        source
            .available(&at(0), &EpochLimits::default())
            .await
            .unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"one\n").unwrap();
        source.wait_ready(&at(0)).await.unwrap();
        drop(source);
        assert_eq!(server.read(&mut [0; 1]).unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let source = open(port, SourceUse::Stream).await.unwrap();
        let error = source.wait_ready(&at(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source);
        let error = open(port, SourceUse::BoundedRead).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
