-- The answer of Nexmark query 7, by DuckDB, of the windows that the watermark has closed.
SELECT auction, bidder, price, date_time, extra
FROM bids
WHERE time_bucket(INTERVAL '10 seconds', date_time) + INTERVAL '10 seconds' <= watermark()
QUALIFY price = max(price) OVER (PARTITION BY time_bucket(INTERVAL '10 seconds', date_time));
