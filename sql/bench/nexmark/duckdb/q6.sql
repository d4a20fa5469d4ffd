-- The answer of Nexmark query 6, by DuckDB, of the bids that the watermark has passed.
WITH winning_bids AS (
  SELECT a.id AS auction, a.seller, a.category, b.price, b.date_time
  FROM auctions AS a JOIN bids AS b ON b.auction = a.id
  WHERE b.date_time BETWEEN a.date_time AND a.expires AND b.date_time <= watermark()
  QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) = 1
)
SELECT seller, avg(price) OVER (
  PARTITION BY seller ORDER BY date_time ROWS BETWEEN 10 PRECEDING AND CURRENT ROW
) AS avg_price
FROM winning_bids;
