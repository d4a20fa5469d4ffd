-- The answer of Nexmark query 8, by DuckDB, of the windows that the watermarks have closed.
WITH new AS (
  SELECT id, name, time_bucket(INTERVAL '10 seconds', date_time) AS start_time FROM persons
), offers AS (
  SELECT DISTINCT seller AS id, time_bucket(INTERVAL '10 seconds', date_time) AS start_time
  FROM auctions
)
SELECT id, name, start_time
FROM new JOIN offers USING (id, start_time)
WHERE start_time + INTERVAL '10 seconds' <= watermark();
