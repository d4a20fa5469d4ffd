//! Lines of the files of a source, to find its columns in: the oldest files first, each from its
//! beginning.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::BinaryBuilder;
use async_trait::async_trait;

use headwater_core::clock::Clock;
use headwater_core::connector::SamplerDefinition;
use headwater_core::format::FormatSpec;
use headwater_core::options::OptionReader;
use headwater_core::sample::{Sample, SampleLimits, Sampler};
use headwater_core::{Error, Result};
use headwater_formats::{check_lines, has_header};

use super::folder::{Input, NamePattern, could_not};
use crate::blocking::blocking;
use crate::lines::{PassedOver, append_line, remove_byte_order_mark};
use crate::options::take_format;
use crate::record_rows::passed_over;

/// The files of a source that has no columns yet.
#[derive(Debug, Clone)]
pub(super) struct FilesSampler {
    path: PathBuf,
    pattern: NamePattern,
    owner: String,
    has_header: bool,
    passed_over: PassedOver,
}

impl FilesSampler {
    /// Checks the format; the files are looked at later.
    ///
    /// # Errors
    /// If its files hold no lines.
    pub(super) fn try_new(
        definition: &SamplerDefinition,
        path: PathBuf,
        pattern: NamePattern,
        options: &mut OptionReader,
    ) -> Result<Self> {
        let format = take_format(definition.format.clone(), options, "text")?;
        let owner = options.owner().to_string();
        refuse_parquet(&format, &owner)?;
        check_lines(&format, &owner)?;
        Ok(FilesSampler {
            path,
            pattern,
            has_header: has_header(&format, &owner)?,
            passed_over: passed_over(&format),
            owner,
        })
    }

    fn read(&self, limits: SampleLimits, is_late: impl Fn() -> bool) -> Result<Sample> {
        let input = Input::find(&self.path, &self.pattern, &self.owner)?;
        let mut found = Lines {
            payloads: BinaryBuilder::new(),
            header: None,
            limits,
        };
        for entry in input.list()? {
            if found.is_enough() || is_late() {
                break;
            }
            self.read_file(&input.path_of(&entry), &mut found)?;
        }
        Ok(Sample {
            payloads: found.payloads.finish(),
            keys: None,
            header: found.header,
        })
    }

    fn read_file(&self, path: &Path, found: &mut Lines) -> Result<()> {
        let file = File::open(path).map_err(|e| could_not("open", path, e))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        let mut is_first = true;
        while !found.is_enough() {
            line.clear();
            let has_line = append_line(&mut lines, &mut line);
            if !has_line.map_err(|e| could_not("read", path, e))? {
                break;
            }
            if is_first {
                remove_byte_order_mark(&mut line, 0);
            }
            if std::mem::replace(&mut is_first, false) && self.has_header {
                found.header.get_or_insert_with(|| line.clone());
            } else if !self.passed_over.includes(&line) {
                found.payloads.append_value(&line);
            }
        }
        Ok(())
    }
}

/// What was read so far.
struct Lines {
    payloads: BinaryBuilder,
    header: Option<Vec<u8>>,
    limits: SampleLimits,
}

impl Lines {
    fn is_enough(&self) -> bool {
        let bytes = self.payloads.values_slice().len();
        self.payloads.offsets_slice().len() > self.limits.records || bytes >= self.limits.bytes
    }
}

fn refuse_parquet(format: &FormatSpec, owner: &str) -> Result<()> {
    if format.name != "parquet" {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the columns of {owner} cannot be inferred from Parquet files"
    ))
    .with_hint("Declare them; a Parquet file names its columns and their types."))
}

#[async_trait]
impl Sampler for FilesSampler {
    fn place(&self) -> String {
        format!("path \"{}\"", self.path.display())
    }

    async fn sample(&self, limits: SampleLimits, clock: Arc<dyn Clock>) -> Result<Sample> {
        let sampler = self.clone();
        let end = clock.elapsed() + limits.time;
        blocking(move || sampler.read(limits, || clock.elapsed() >= end)).await
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use headwater_core::clock::SystemClock;

    use super::*;

    async fn sampled(options: &[(&str, &str)], format: FormatSpec, records: usize) -> Sample {
        let options = options.iter().copied().collect();
        let mut reader = OptionReader::new("source \"s\"", &options);
        let definition = SamplerDefinition {
            name: "s".to_string(),
            format: Some(format),
        };
        let connector = super::super::FilesystemConnector;
        let connector: &dyn headwater_core::connector::Connector = &connector;
        let sampler = connector.declare_sampler(definition, &mut reader).unwrap();
        reader.finish().unwrap();
        let limits = SampleLimits {
            records,
            ..SampleLimits::default()
        };
        sampler
            .sample(limits, Arc::new(SystemClock::new()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn lines_are_taken_up_to_a_number_and_headers_are_not_records() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.csv", "Id,Name\n1,a\n\n2,b\n"),
            ("b.csv", "Id,Name\n3,c\n"),
        ] {
            let mut file = File::create(folder.path().join(name)).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
        let path = folder.path().to_str().unwrap();
        let mut format = FormatSpec::named("csv");
        format.options.set("header", "true");
        let sample = sampled(&[("path", path), ("pattern", "*.csv")], format.clone(), 10).await;
        assert_eq!(sample.header.as_deref(), Some(&b"Id,Name"[..]));
        assert_eq!(sample.payloads.len(), 3);
        let sample = sampled(&[("path", path)], format, 2).await;
        assert_eq!(sample.payloads.len(), 2);
    }
}
