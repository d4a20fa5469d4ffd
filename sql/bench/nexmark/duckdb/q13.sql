-- The answer of Nexmark query 13, by DuckDB.
SELECT auction, bidder, price, date_time, 'value ' || auction % 10000 AS value
FROM bids
WHERE auction % 10000 >= 0;
