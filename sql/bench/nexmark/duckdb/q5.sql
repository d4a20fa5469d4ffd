-- The answer of Nexmark query 5, by DuckDB, of the windows that the watermark has closed.
WITH windows AS (
  SELECT
    auction,
    time_bucket(INTERVAL '2 seconds', date_time) - to_seconds(2 * unnest(range(5))) AS window_start
  FROM bids
), counted AS (
  SELECT auction, window_start, window_start + INTERVAL '10 seconds' AS window_end, count(*) AS bids
  FROM windows
  GROUP BY ALL
)
SELECT auction, window_start, window_end, bids
FROM counted
WHERE window_end <= watermark()
QUALIFY bids = max(bids) OVER (PARTITION BY window_start);
