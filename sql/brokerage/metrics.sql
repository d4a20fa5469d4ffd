-- The volumes of the stocks for other programs, in a topic: every window once, when it is final.
-- The key of a message is the primary key.
CREATE SINK metrics (
  symbol VARCHAR, window_start TIMESTAMP, window_end TIMESTAMP, orders BIGINT, volume BIGINT,
  PRIMARY KEY (symbol, window_start)
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = 'metrics'
) FORMAT JSON;
CREATE STREAMING QUERY metrics AS INSERT INTO metrics
SELECT symbol, window_start, window_end, count(*) AS orders, sum(amount) AS volume
FROM hop(orders, "time", slide => INTERVAL '10 minutes', size => INTERVAL '1 hour')
WHERE buy IN ('B', 'S')
GROUP BY symbol, window_start, window_end
EMIT ON WINDOW CLOSE;
