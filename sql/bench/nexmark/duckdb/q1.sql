-- The answer of Nexmark query 1, by DuckDB.
SELECT auction, bidder, 0.908::DOUBLE * price AS price, date_time, extra
FROM bids;
