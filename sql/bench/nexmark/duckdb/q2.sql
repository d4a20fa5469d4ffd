-- The answer of Nexmark query 2, by DuckDB.
SELECT auction, price
FROM bids
WHERE auction % 123 = 0;
