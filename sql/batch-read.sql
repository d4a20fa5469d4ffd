-- A topic as it is now, without declaring its columns: key, value, topic, partition, offset,
-- timestamp and timestamp type.
--   headwater run sql/batch-read.sql --define BOOTSTRAP=localhost:9092
CREATE SOURCE orders_raw WITH (
  connector = 'kafka',
  topic = 'orders',
  'bootstrap.servers' = '${BOOTSTRAP}'
);

-- How many messages there are.
SELECT count(*) AS messages FROM orders_raw;

-- The five newest. Value and key are bytes, which a cast shows as text.
SELECT CAST(key AS VARCHAR) AS key, CAST(value AS VARCHAR) AS value,
       topic, partition, "offset", timestamp, timestamp_type
FROM orders_raw
ORDER BY timestamp DESC, partition, "offset" DESC
LIMIT 5;
