-- The answer of Nexmark query 20, by DuckDB.
SELECT b.auction, b.bidder, b.price, b.date_time, a.item_name, a.seller, a.category
FROM bids AS b JOIN auctions AS a ON b.auction = a.id
WHERE a.category = 10;
