-- The dashboard: three queries over the orders, side by side, on the console.

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

-- 3. The five stocks traded most in the last hour. Windows of an hour begin every ten minutes. A
--    stock is shown for the window in whose last ten minutes it was traded last: that window is
--    the hour that is just ending. The newest hour comes first.
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
