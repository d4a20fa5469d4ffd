-- Tumbling windows of ten seconds over 500 symbols: few groups, closed by the watermark.
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

CREATE STREAMING QUERY q2
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT window_start, symbol, count(*) AS orders, sum(amount * price) AS volume
FROM tumble(orders, "time", INTERVAL '10 seconds')
GROUP BY window_start, window_end, symbol
EMIT ON WINDOW CLOSE;
