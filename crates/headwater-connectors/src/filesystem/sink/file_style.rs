//! What the files of a folder are like: their format, their folders, their size.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use headwater_core::Result;
use headwater_core::format::FormatSpec;

use super::options::SinkFiles;
use super::partition_folders::PartitionFolders;
use super::rows_file::FileFormat;

/// What a declaration says about the files of a folder.
#[derive(Debug, Clone)]
pub(super) struct FileStyle {
    pub(super) format: FileFormat,
    /// `None` if all files are in one folder.
    folders: Option<PartitionFolders>,
    pub(super) files: SinkFiles,
}

impl FileStyle {
    /// Files of a format; `owner` is the sink's kind and quoted name, for messages.
    ///
    /// # Errors
    /// If files cannot be of this format, or a column names folders twice.
    pub(super) fn try_new(format: FormatSpec, files: SinkFiles, owner: &str) -> Result<Self> {
        let folders = match files.partition_by.as_slice() {
            [] => None,
            columns => Some(PartitionFolders::try_new(columns.to_vec(), owner)?),
        };
        Ok(FileStyle {
            format: FileFormat::try_new(format, owner)?,
            folders,
            files,
        })
    }

    /// Checks that files can hold rows of this schema.
    ///
    /// # Errors
    /// If a column cannot be written, or cannot name a folder.
    pub(super) fn check(&self, schema: &SchemaRef) -> Result<()> {
        match &self.folders {
            None => self.format.check(schema),
            Some(folders) => {
                folders.check(schema)?;
                self.format.check(&folders.file_schema(schema))
            }
        }
    }

    /// The rows of every folder, as its files have them; `""` is the folder of the results itself.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        match &self.folders {
            None => Ok(vec![(String::new(), batch.clone())]),
            Some(folders) => folders.split(batch),
        }
    }
}
