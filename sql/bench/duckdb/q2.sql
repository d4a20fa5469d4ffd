-- The answer of Q2, by DuckDB, with exact volumes.
SELECT
  time_bucket(INTERVAL '10 seconds', time) AS window_start,
  symbol,
  count(*) AS orders,
  sum(amount * price)::DECIMAL(18, 2) AS volume
FROM orders
GROUP BY window_start, symbol;
