//! Files of a store, as Parquet reads and writes them.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::file::reader::{ChunkReader, Length};

use headwater_checkpoint::{FileStore, FileWriter};
use headwater_core::{Error, Result};

use super::rows_file::is_gone;

/// Bytes that are read at a time where it is not said how many are wanted: the headers of pages,
/// each far shorter than this.
const HEADER_BYTES: usize = 1 << 10;

/// A failure of the store on its way through the decoder or the encoder.
#[derive(Debug)]
pub(super) struct StoreFailure(pub(super) Error);

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StoreFailure {}

/// A file of the store, as the decoder wants it.
#[derive(Debug, Clone)]
pub(super) struct StoredFile {
    store: Arc<dyn FileStore>,
    path: Arc<str>,
    bytes: u64,
    /// What the store said last when it failed: the decoder of rows makes a text of an error.
    failure: Arc<Mutex<Option<Error>>>,
}

impl StoredFile {
    /// The file at `path`.
    ///
    /// # Errors
    /// If it is gone, or the store fails.
    pub(super) fn open(store: &Arc<dyn FileStore>, path: &str) -> Result<Self> {
        Ok(StoredFile {
            bytes: store.size(path)?.ok_or_else(|| is_gone(path))?,
            store: Arc::clone(store),
            path: Arc::from(path),
            failure: Arc::default(),
        })
    }

    /// Why the store could not give what was last asked for, if it could not.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    fn part(&self, start: u64, length: u64) -> io::Result<Bytes> {
        let part = self.store.read_part(&self.path, start, length);
        let part = part.and_then(|part| part.ok_or_else(|| is_gone(&self.path)));
        let part = part.map_err(|error| {
            *self.failure.lock() = Some(error.clone());
            io::Error::other(StoreFailure(error))
        })?;
        Ok(Bytes::from(part))
    }
}

impl Length for StoredFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for StoredFile {
    type T = BufReader<Rest>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let rest = Rest {
            file: self.clone(),
            at: start,
        };
        Ok(BufReader::with_capacity(HEADER_BYTES, rest))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        Ok(self.part(start, length as u64)?)
    }
}

/// What follows a place of a file, of which no more is read than is asked for.
#[derive(Debug)]
pub(super) struct Rest {
    file: StoredFile,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let part = self.file.part(self.at, into.len() as u64)?;
        let length = part.len().min(into.len());
        for (to, from) in into.iter_mut().zip(&part) {
            *to = *from;
        }
        self.at += length as u64;
        Ok(length)
    }
}

/// A file that is being written, as the encoder wants it.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) writer: Box<dyn FileWriter>,
    pub(super) bytes: u64,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write_all(bytes);
        written.map_err(|error| io::Error::other(StoreFailure(error)))?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// The store decides when bytes leave the process; they are durable when the file is finished.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
