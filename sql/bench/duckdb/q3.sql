-- The answer of Q3, by DuckDB, with exact volumes.
WITH windows AS (
  SELECT
    time_bucket(INTERVAL '10 seconds', time) - to_seconds(10 * unnest(range(6))) AS window_start,
    symbol, amount, price
  FROM orders
)
SELECT window_start, symbol, count(*) AS orders, sum(amount * price)::DECIMAL(18, 2) AS volume
FROM windows
GROUP BY window_start, symbol;
