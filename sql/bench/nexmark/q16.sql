-- Nexmark query 16, statistics of channels: as query 15 by channel and day, and the last minute.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${BIDS} and ${OUT}.
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

CREATE SINK results (
  channel VARCHAR, day VARCHAR, minute VARCHAR,
  total_bids BIGINT, rank1_bids BIGINT, rank2_bids BIGINT, rank3_bids BIGINT,
  total_bidders BIGINT, rank1_bidders BIGINT, rank2_bidders BIGINT, rank3_bidders BIGINT,
  total_auctions BIGINT, rank1_auctions BIGINT, rank2_auctions BIGINT, rank3_auctions BIGINT
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n16
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT
  channel,
  to_char(date_time, '%Y-%m-%d') AS day,
  max(to_char(date_time, '%H:%M')) AS minute,
  count(*) AS total_bids,
  count(*) FILTER (WHERE price < 10000) AS rank1_bids,
  count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
  count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
  count(DISTINCT bidder) AS total_bidders,
  count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders,
  count(DISTINCT bidder) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bidders,
  count(DISTINCT bidder) FILTER (WHERE price >= 1000000) AS rank3_bidders,
  count(DISTINCT auction) AS total_auctions,
  count(DISTINCT auction) FILTER (WHERE price < 10000) AS rank1_auctions,
  count(DISTINCT auction) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_auctions,
  count(DISTINCT auction) FILTER (WHERE price >= 1000000) AS rank3_auctions
FROM bids
GROUP BY channel, to_char(date_time, '%Y-%m-%d')
EMIT ON UPDATE;
