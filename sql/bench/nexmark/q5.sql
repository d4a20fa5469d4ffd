-- Nexmark query 5, hot items: the auctions with the most bids of the last ten seconds, every two
-- seconds; several if they have as many.
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
  auction BIGINT, window_start TIMESTAMP, window_end TIMESTAMP, bids BIGINT
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n5
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT auction, window_start, window_end, bids
FROM (
  SELECT *, rank() OVER (PARTITION BY window_start, window_end ORDER BY bids DESC) AS place
  FROM (
    SELECT auction, window_start, window_end, count(*) AS bids
    FROM hop(bids, date_time, slide => INTERVAL '2 seconds', size => INTERVAL '10 seconds')
    GROUP BY auction, window_start, window_end
  )
)
WHERE place = 1
EMIT ON WINDOW CLOSE;
