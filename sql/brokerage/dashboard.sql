-- The dashboard: four queries over the orders, side by side.

-- 1. Buys and sales of each batch, nothing carried over.
CREATE SINK sides WITH (connector = 'console');
CREATE STREAMING QUERY sides AS INSERT INTO sides
SELECT CASE buy WHEN 'B' THEN 'buy' WHEN 'S' THEN 'sale' ELSE 'neither' END AS side,
       count(*) AS orders
FROM orders
GROUP BY side
EMIT PER EPOCH;

-- 2. The five clients who have moved most money since the beginning.
CREATE SINK clients WITH (connector = 'console');
CREATE STREAMING QUERY clients AS INSERT INTO clients
SELECT client_id, sum(amount * price) AS total
FROM orders
WHERE buy IN ('B', 'S')
GROUP BY client_id
ORDER BY total DESC, client_id
LIMIT 5
EMIT COMPLETE;

-- 3. The five stocks traded most in the last hour. Windows of an hour begin every ten minutes; a
--    row whose newest order lies in the last ten minutes of its window belongs to the hour that
--    is just ending. The newest of those come first.
CREATE SINK stocks WITH (connector = 'console');
CREATE STREAMING QUERY stocks AS INSERT INTO stocks
SELECT window_end, symbol, sum(amount) AS volume
FROM hop(orders, "time", slide => INTERVAL '10 minutes', size => INTERVAL '1 hour')
WHERE buy IN ('B', 'S')
GROUP BY window_start, window_end, symbol
HAVING max("time") >= window_end - INTERVAL '10 minutes'
ORDER BY window_end DESC, volume DESC, symbol
LIMIT 5
EMIT COMPLETE;

-- 4. The same volumes for other programs: every window once, when it is final.
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
