-- Hopping windows of a minute every ten seconds: each order is in six of them.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${TOPIC} and ${OUT}.
CREATE SOURCE orders (
  "time" TIMESTAMP,
  order_id BIGINT,
  client_id BIGINT,
  symbol VARCHAR,
  amount BIGINT,
  price DOUBLE,
  buy VARCHAR,
  WATERMARK FOR "time" AS "time" - INTERVAL '5 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${TOPIC}',
  'start' = 'earliest'
) FORMAT JSON;

CREATE SINK results (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume DOUBLE)
WITH (connector = 'filesystem', path = '${OUT}/rows') FORMAT JSON;

CREATE STREAMING QUERY q3
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT window_start, symbol, count(*) AS orders, sum(amount * price) AS volume
FROM hop(orders, "time", slide => INTERVAL '10 seconds', size => INTERVAL '60 seconds')
GROUP BY window_start, window_end, symbol
EMIT ON WINDOW CLOSE;
