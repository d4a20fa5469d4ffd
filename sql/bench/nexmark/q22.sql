-- Nexmark query 22, folders: the first three folders in the address of a bid.
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
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, dir1 VARCHAR, dir2 VARCHAR,
  dir3 VARCHAR
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n22
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT
  auction, bidder, price, channel,
  split_part(url, '/', 4) AS dir1,
  split_part(url, '/', 5) AS dir2,
  split_part(url, '/', 6) AS dir3
FROM bids;
