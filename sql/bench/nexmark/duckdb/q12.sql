-- The answer of Nexmark query 12, by DuckDB, of the windows that the watermark has closed.
SELECT bidder, count(*) AS bids, start_time, start_time + INTERVAL '10 seconds' AS end_time
FROM (SELECT bidder, time_bucket(INTERVAL '10 seconds', date_time) AS start_time FROM bids)
WHERE start_time + INTERVAL '10 seconds' <= watermark()
GROUP BY bidder, start_time;
