//! The `filesystem` connector: a folder as a source of its new files, and as a sink that gains
//! files with every epoch.
//!
//! Files hold one record a line, unless they are Parquet files. A quoted CSV field may therefore not
//! hold a line feed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::connector::{
    Connector, DeclaredSink, DeclaredSource, SamplerDefinition, SinkDefinition, SourceDefinition,
};
use headwater_core::options::OptionReader;
use headwater_core::sample::Sampler;
use headwater_core::{Error, Result};

use crate::change_columns::ChangeColumns;
use crate::options::take_format;

mod arrivals;
mod file_rows;
mod folder;
mod parquet_rows;
mod parquet_values;
mod permanent;
mod reader;
mod sampler;
mod sink;
mod source;

pub use sink::{CLAIM_FOLDER, FilesystemSink};

use file_rows::FileRows;
use folder::NamePattern;
use sampler::FilesSampler;
use sink::SinkFiles;
use source::{DeclaredFiles, FilesOptions};

const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The connector `filesystem`.
///
/// | option | of | meaning | default |
/// | --- | --- | --- | --- |
/// | `path` | both | a folder, or as a source a file; `file://` is allowed | |
/// | `format` | both | `json`, `csv`, `parquet`, `text`, as a source also `raw` | `text`; `json` for sinks |
/// | `partition.by` | sink | columns whose values name folders, as PARTITIONED BY | |
/// | `target.file.size` | sink | how large a file may become | 128 MiB |
/// | `success.file` | sink | whether a query that has ended writes `_SUCCESS` | `false` |
/// | `with.epoch`, `with.op` | sink | columns that say a row's epoch and what it is | `false` |
/// | `max.files.per.epoch` | source | files one epoch reads | all there are |
/// | `pattern` | source | names to read, with `*` for any characters | `*` |
/// | `poll.interval` | source | how often the folder is listed while nothing is new | 1 second |
#[derive(Debug, Default)]
pub struct FilesystemConnector;

impl Connector for FilesystemConnector {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn has_partition_folders(&self) -> bool {
        true
    }

    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        let path = take_path(options, "/data/orders")?;
        let rows = FileRows::try_new(definition, options)?;
        let files = take_files(options)?;
        Ok(Arc::new(DeclaredFiles::new(path, rows, files)))
    }

    fn declare_sampler(
        &self,
        definition: SamplerDefinition,
        options: &mut OptionReader,
    ) -> Result<Box<dyn Sampler>> {
        let path = take_path(options, "/data/orders")?;
        let pattern = take_files(options)?.pattern;
        let sampler = FilesSampler::try_new(&definition, path, pattern, options)?;
        Ok(Box::new(sampler))
    }

    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        let path = take_path(options, "/data/results")?;
        let files = SinkFiles::take(&definition, options)?;
        let format = take_format(definition.format, options, "json")?;
        let owner = options.owner().to_string();
        let added = ChangeColumns::take(options)?;
        let schema = definition.schema.as_ref();
        let schema = schema.map(|schema| added.schema(schema)).transpose()?;
        let declared = sink::declare(path, format, files, owner, schema.as_ref())?;
        Ok(added.around(declared))
    }
}

/// What the options of a source say about its files.
fn take_files(options: &mut OptionReader) -> Result<FilesOptions> {
    Ok(FilesOptions {
        max_files: take_max_files(options)?,
        pattern: NamePattern::new(options.take("pattern", &["glob"])?.as_deref()),
        poll_interval: options
            .take_duration("poll.interval", &[])?
            .unwrap_or(DEFAULT_POLL_INTERVAL)
            .max(Duration::from_millis(1)),
    })
}

/// Reads `path`, which may be written as a `file://` URL.
fn take_path(options: &mut OptionReader, example: &str) -> Result<PathBuf> {
    let text = options.require("path", &[], example)?;
    let text = text.trim();
    let path = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            rest.strip_prefix("localhost").unwrap_or(rest)
        }
        Some((scheme, _)) => {
            return Err(Error::unsupported(format!(
                "path of {} is at \"{scheme}://\", which is not supported",
                options.owner()
            ))
            .with_hint("Use a folder of this machine."));
        }
    };
    if path.is_empty() {
        return Err(options.bad_value("path", text, "a folder or a file"));
    }
    Ok(PathBuf::from(path))
}

fn take_max_files(options: &mut OptionReader) -> Result<Option<u64>> {
    const NAME: &str = "max.files.per.epoch";
    const EXPECTED: &str = "a number of files, at least 1";
    let aliases = ["maxFilesPerTrigger", "max.files.per.trigger"];
    match options.take_parsed::<u64>(NAME, &aliases, EXPECTED)? {
        Some(0) => Err(options.bad_value(NAME, "0", EXPECTED)),
        max => Ok(max),
    }
}
