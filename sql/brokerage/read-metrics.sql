-- Topic `metrics` read back: the five stocks traded most in the last full hour. No order has come
-- for a window that begins later than all others, so the windows that end before it are full.
CREATE SOURCE written (
  symbol VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP, orders BIGINT, volume BIGINT
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = 'metrics',
  'start' = 'earliest'
) FORMAT JSON;

SELECT window_start, window_end, symbol, orders, volume
FROM written
WHERE window_end <= (SELECT max(window_start) FROM written)
ORDER BY window_end DESC, volume DESC, symbol
LIMIT 5;
