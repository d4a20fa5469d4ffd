-- Q1 in the dialect of clink, which `cargo xtask bench --vs clink` measures beside headwater.
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

CREATE TABLE results (order_id BIGINT, symbol TEXT, volume DOUBLE, buy TEXT)
WITH (connector='collect');

INSERT INTO results
SELECT order_id, symbol, amount * price AS volume, buy
FROM orders
WHERE buy = 'B' AND amount > 500;
