-- Q3 in the dialect of clink, which `cargo xtask bench --vs clink` measures beside headwater.
-- Times are milliseconds since 1970. The driver collects the rows as Arrow batches.
CREATE TABLE orders (
  time BIGINT,
  order_id BIGINT,
  client_id BIGINT,
  symbol TEXT,
  amount BIGINT,
  price DOUBLE,
  buy TEXT
) WITH (
  connector='kafka',
  brokers='${BOOTSTRAP}',
  topic='${TOPIC}',
  group_id='${GROUP}',
  auto_offset_reset='earliest',
  format='json',
  event_time_column='time',
  watermark_lag_ms='5000'
);

CREATE TABLE results (opens BIGINT, symbol TEXT, n BIGINT, volume DOUBLE)
WITH (connector='collect');

CREATE VIEW valued AS SELECT time, symbol, amount * price AS value FROM orders;

INSERT INTO results
SELECT window_start AS opens, symbol, COUNT(*) AS n, SUM(value) AS volume
FROM valued
GROUP BY HOP(time, INTERVAL '60' SECOND, INTERVAL '10' SECOND), symbol;
