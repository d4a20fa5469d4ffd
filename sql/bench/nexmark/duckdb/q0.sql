-- The answer of Nexmark query 0, by DuckDB.
SELECT auction, bidder, price, date_time, extra
FROM bids;
