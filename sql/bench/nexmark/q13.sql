-- Nexmark query 13, side input: bids with a value from a table of 10,000 rows.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${BIDS} and ${OUT}.
CREATE SOURCE bids (
  auction BIGINT,
  bidder BIGINT,
  price BIGINT,
  channel VARCHAR,
  url VARCHAR,
  date_time TIMESTAMP,
  extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${BIDS}',
  'start' = 'earliest'
) FORMAT JSON;

CREATE TABLE side_input
AS SELECT value AS key, 'value ' || value AS value FROM generate_series(0, 9999);

CREATE SINK results (
  auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP, value VARCHAR
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n13
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT b.auction, b.bidder, b.price, b.date_time, s.value
FROM bids AS b JOIN side_input AS s ON b.auction % 10000 = s.key;
