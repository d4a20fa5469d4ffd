-- What the dashboard has written, read back: the five stocks traded most in the last full hour.
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
WHERE window_start <= (SELECT max(window_start) FROM written) - INTERVAL '50 minutes'
ORDER BY window_end DESC, volume DESC, symbol
LIMIT 5;
