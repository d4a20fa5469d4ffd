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

CREATE VIEW persons AS
SELECT *
FROM read_json('${FILES}/persons-*.jsonl', format = 'newline_delimited', columns = {
  id: 'BIGINT',
  name: 'VARCHAR',
  email_address: 'VARCHAR',
  credit_card: 'VARCHAR',
  city: 'VARCHAR',
  state: 'VARCHAR',
  date_time: 'TIMESTAMP',
  extra: 'VARCHAR'
});

CREATE VIEW auctions AS
SELECT *
FROM read_json('${FILES}/auctions-*.jsonl', format = 'newline_delimited', columns = {
  id: 'BIGINT',
  item_name: 'VARCHAR',
  description: 'VARCHAR',
  initial_bid: 'BIGINT',
  reserve: 'BIGINT',
  seller: 'BIGINT',
  category: 'BIGINT',
  expires: 'TIMESTAMP',
  date_time: 'TIMESTAMP',
  extra: 'VARCHAR'
});

-- Where the watermark is when all events have been read. The last ones of every kind, which close
-- the windows of the others, have the same time.
CREATE MACRO watermark() AS (SELECT max(date_time) - INTERVAL '4 seconds' FROM bids);
