-- The answer of Q4, by DuckDB, with exact volumes.
SELECT
  time_bucket(INTERVAL '100 seconds', time) AS window_start,
  client_id,
  count(*) AS orders,
  sum(amount * price)::DECIMAL(18, 2) AS volume
FROM orders
GROUP BY window_start, client_id;
