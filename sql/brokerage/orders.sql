-- The orders of a broker, as lines in a Kafka topic:
--   2026-01-01 00:00:09,0,80,AAB,710,51.00,B
-- A line that cannot be read is left out and counted; the other lines do not suffer for it.
CREATE SOURCE orders (
  "time"    TIMESTAMP,
  order_id  BIGINT,
  client_id BIGINT,
  symbol    VARCHAR,
  amount    BIGINT,
  price     DECIMAL(10, 2),
  buy       VARCHAR,                      -- B for a buy, S for a sale
  WATERMARK FOR "time" AS "time" - INTERVAL '10 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = 'orders',
  'start' = 'earliest',
  bad_data = 'drop',
  'max.records.per.epoch' = 100000        -- an epoch is a batch of the tables below
) FORMAT CSV;
