-- Tumbling windows over a million clients: nearly every order makes a group of its own.
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

CREATE SINK results (window_start TIMESTAMP, client_id BIGINT, orders BIGINT, volume DOUBLE)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY q4
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT window_start, client_id, count(*) AS orders, sum(amount * price) AS volume
FROM tumble(orders, "time", INTERVAL '100 seconds')
GROUP BY window_start, window_end, client_id
EMIT ON WINDOW CLOSE;
