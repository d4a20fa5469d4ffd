-- The answer of Nexmark query 19, by DuckDB.
SELECT auction, bidder, price, channel, url, date_time, extra, place
FROM (
  SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time) AS place
  FROM bids
)
WHERE place <= 10;
