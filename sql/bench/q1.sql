-- Filter and project: every fourth order goes on, none is kept.
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

CREATE SINK results (order_id BIGINT, symbol VARCHAR, volume DOUBLE, buy VARCHAR)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY q1
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT order_id, symbol, amount * price AS volume, buy
FROM orders
WHERE buy = 'B' AND amount > 500;
