-- The answer of Nexmark query 11, by DuckDB, of the sessions that the watermark has closed.
WITH steps AS (
  SELECT
    bidder, date_time,
    date_time - lag(date_time) OVER bidder_bids > INTERVAL '10 seconds' AS is_first
  FROM bids
  WINDOW bidder_bids AS (PARTITION BY bidder ORDER BY date_time)
), numbered AS (
  SELECT
    bidder, date_time,
    count(*) FILTER (WHERE is_first) OVER (PARTITION BY bidder ORDER BY date_time) AS session
  FROM steps
), counted AS (
  SELECT
    bidder, session, count(*) AS bids,
    min(date_time) AS start_time, max(date_time) + INTERVAL '10 seconds' AS end_time
  FROM numbered
  GROUP BY bidder, session
)
SELECT bidder, bids, start_time, end_time
FROM counted
WHERE end_time <= watermark();
