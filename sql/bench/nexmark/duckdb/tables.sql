-- The events of Nexmark as DuckDB reads them, for the answers beside this file.
-- `cargo xtask bench` fills in ${FILES}, the folder of the files.
CREATE VIEW bids AS
SELECT *
FROM read_json('${FILES}/bids-*.jsonl', format = 'newline_delimited', columns = {
  auction: 'BIGINT',
  bidder: 'BIGINT',
  price: 'BIGINT',
  channel: 'VARCHAR',
  url: 'VARCHAR',
  date_time: 'TIMESTAMP',
  extra: 'VARCHAR'
});

-- Where the watermark of the bids is when all have been read.
CREATE MACRO watermark() AS (SELECT max(date_time) - INTERVAL '4 seconds' FROM bids);
