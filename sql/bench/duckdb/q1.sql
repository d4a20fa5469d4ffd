-- The answer of Q1, by DuckDB. Sums of DOUBLE depend on their order, so volumes are exact here and
-- those of headwater are rounded to cents.
SELECT order_id, symbol, (amount * price)::DECIMAL(18, 2) AS volume, buy
FROM orders
WHERE buy = 'B' AND amount > 500;
