//! The options of a folder of results.

use headwater_core::connector::SinkDefinition;
use headwater_core::options::OptionReader;
use headwater_core::{Error, Result};

/// How large a file may become, unless the user says so.
const TARGET_FILE_BYTES: u64 = 128 << 20;

/// What the options say about the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::filesystem) struct SinkFiles {
    /// The columns whose values name the folders.
    pub(super) partition_by: Vec<String>,
    /// A file of at least so many bytes gets no more rows.
    pub(super) target_bytes: u64,
    /// Whether a query that has ended says so.
    pub(super) marks_success: bool,
}

impl Default for SinkFiles {
    fn default() -> Self {
        SinkFiles {
            partition_by: Vec::new(),
            target_bytes: TARGET_FILE_BYTES,
            marks_success: false,
        }
    }
}

impl SinkFiles {
    /// Takes `partition.by`, `target.file.size` and `success.file`.
    pub(in crate::filesystem) fn take(
        definition: &SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Self> {
        const TARGET: &str = "target.file.size";
        let listed = options.take("partition.by", &["partitionBy", "partition.columns"])?;
        let partition_by = match (listed, definition.partitioned_by.as_slice()) {
            (Some(_), [_, ..]) => {
                return Err(Error::configuration(format!(
                    "{} has a PARTITIONED BY clause and an option \"partition.by\"",
                    options.owner()
                ))
                .with_hint("Keep one of the two."));
            }
            (Some(text), []) => column_names(&text, options)?,
            (None, columns) => columns.to_vec(),
        };
        let target = options.take_byte_size(TARGET, &["sink.rolling-policy.file-size"])?;
        if target == Some(0) {
            return Err(options.bad_value(TARGET, "0", "a size of at least 1 B"));
        }
        Ok(SinkFiles {
            partition_by,
            target_bytes: target.unwrap_or(TARGET_FILE_BYTES),
            marks_success: options.take_bool("success.file", &[])?.unwrap_or(false),
        })
    }
}

fn column_names(text: &str, options: &OptionReader) -> Result<Vec<String>> {
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_string())
        .collect();
    match names.iter().any(String::is_empty) {
        true => Err(options.bad_value("partition.by", text, "columns with \",\" between them")),
        false => Ok(names),
    }
}
