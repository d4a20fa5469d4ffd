-- Nexmark query 7, highest bid: that of every ten seconds; several if they are as high. The
-- original joins bids with the greatest price of their window, which is the same.
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
  auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP, extra VARCHAR
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n7
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT auction, bidder, price, date_time, extra
FROM (
  SELECT *, rank() OVER (PARTITION BY window_start, window_end ORDER BY price DESC) AS place
  FROM tumble(bids, date_time, INTERVAL '10 seconds')
)
WHERE place = 1
EMIT ON WINDOW CLOSE;
