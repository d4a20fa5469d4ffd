-- The answer of Nexmark query 9, by DuckDB, of the bids that the watermark has passed.
SELECT
  a.id AS auction, a.item_name, a.seller, a.category, a.expires, b.bidder, b.price, b.date_time
FROM auctions AS a JOIN bids AS b ON b.auction = a.id
WHERE b.date_time BETWEEN a.date_time AND a.expires AND b.date_time <= watermark()
QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) = 1;
