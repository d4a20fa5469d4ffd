-- Nexmark query 9, winning bids: the highest bid on every auction until it expires, the earlier
-- one of two. The original joins bids with auctions; here both are rows of one stream, and a bid
-- looks back at its auction, which has begun before.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${AUCTIONS}, ${BIDS} and ${OUT}.
CREATE SOURCE auctions (
  id BIGINT,
  item_name VARCHAR,
  description VARCHAR,
  initial_bid BIGINT,
  reserve BIGINT,
  seller BIGINT,
  category BIGINT,
  expires TIMESTAMP,
  date_time TIMESTAMP,
  extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${AUCTIONS}',
  'start' = 'earliest'
) FORMAT JSON;

CREATE SOURCE bids (
  auction BIGINT,
  bidder BIGINT,
  price BIGINT,
  channel VARCHAR,
  url VARCHAR,
  date_time TIMESTAMP,
  extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${BIDS}',
  'start' = 'earliest'
) FORMAT JSON;

CREATE VIEW auctions_and_bids AS
SELECT
  id AS auction, item_name, seller, category, expires, NULL AS bidder, NULL AS price, date_time
FROM auctions
UNION ALL
SELECT auction, NULL, NULL, NULL, NULL, bidder, price, date_time
FROM bids;

CREATE SINK results (
  auction BIGINT, item_name VARCHAR, seller BIGINT, category BIGINT, expires TIMESTAMP,
  bidder BIGINT, price BIGINT, date_time TIMESTAMP
)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY n9
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT auction, item_name, seller, category, expires, bidder, price, date_time
FROM (
  SELECT
    *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time) AS place
  FROM (
    SELECT
      auction, bidder, price, date_time,
      first_value(item_name) OVER (PARTITION BY auction ORDER BY date_time) AS item_name,
      first_value(seller) OVER (PARTITION BY auction ORDER BY date_time) AS seller,
      first_value(category) OVER (PARTITION BY auction ORDER BY date_time) AS category,
      first_value(expires) OVER (PARTITION BY auction ORDER BY date_time) AS expires
    FROM auctions_and_bids
  )
  WHERE bidder IS NOT NULL AND date_time <= expires
)
WHERE place = 1
EMIT ON UPDATE;
