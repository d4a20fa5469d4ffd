//! A sink of Parquet files in folders by symbol, and what a reader finds there.

use crate::command::Dir;
use crate::files::{check_manifests, parquet_rows};

/// The sink of a job. The files of a few epochs are put together.
pub(super) const SINK: &str = "
CREATE SINK out (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT)
PARTITIONED BY (symbol)
WITH (connector = 'filesystem', path = 'DIR/out', 'target.file.size' = '4 KiB',
  'success.file' = 'true') FORMAT PARQUET;";

/// The rows of a job that has ended, each as a line.
pub(super) fn rows(dir: &Dir) -> Vec<String> {
    let out = dir.path().join("out");
    assert!(out.join("_SUCCESS").is_file(), "the job has ended");
    let columns = "window_start, symbol, orders, volume";
    let rows = parquet_rows(&out, &["symbol"], columns);
    assert_eq!(check_manifests(&out), rows.len() as u64);
    rows
}
