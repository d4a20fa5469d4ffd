//! headwater inside a program: rows pushed into memory, a windowed query, and its rows handed to
//! a function epoch by epoch.
//!
//! ```console
//! $ cargo run -p headwater-examples --bin embed
//! ```

use std::io::Write;

use headwater::arrow::array::RecordBatch;
use headwater::arrow::util::pretty::pretty_format_batches;
use headwater::{EndOfInput, Error, Headwater, Result, Trigger};

#[tokio::main]
async fn main() -> Result<()> {
    let hw = Headwater::builder().build()?;

    // A source that this program feeds, with an event time and a watermark.
    hw.sql(
        "CREATE SOURCE clicks (page VARCHAR, ts TIMESTAMP,
           WATERMARK FOR ts AS ts - INTERVAL '5 seconds')
         WITH (connector = 'memory')",
    )
    .await?;
    let clicks = hw
        .memory_stream("clicks")
        .ok_or_else(|| Error::internal("source \"clicks\" is not in memory"))?;

    // Rows can come from any query, or be built with Arrow.
    let rows = hw
        .query(
            "SELECT arrow_cast(page, 'Utf8View') AS page,
                    arrow_cast(ts, 'Timestamp(Microsecond, None)') AS ts
             FROM (VALUES ('home', '2026-01-01T12:00:01'), ('help', '2026-01-01T12:00:02'),
                          ('home', '2026-01-01T12:00:09'), ('home', '2026-01-01T12:00:31'))
             AS t (page, ts)",
        )
        .await?;
    for batch in rows.collect().await? {
        clicks.push(0, batch)?;
    }

    // Clicks per page and ten seconds; each window once, when it is final.
    let query = hw
        .stream(
            "SELECT window_start, page, count(*) AS clicks
             FROM tumble(clicks, ts, INTERVAL '10 seconds')
             GROUP BY window_start, window_end, page
             EMIT ON WINDOW CLOSE",
        )
        .await?
        .write_stream()
        .query_name("clicks-per-page")
        .trigger(Trigger::AvailableNow)
        .end_of_input(EndOfInput::Flush)
        .foreach_batch(|epoch, batches| Box::pin(async move { print(epoch.0, &batches) }))
        .start()
        .await?;
    query.await_termination().await
}

fn print(epoch: u64, batches: &[RecordBatch]) -> Result<()> {
    let table = pretty_format_batches(batches)?;
    let written = writeln!(std::io::stdout().lock(), "epoch {epoch}\n{table}");
    written.map_err(|error| Error::sink_failed("could not print").with_source(error))
}
