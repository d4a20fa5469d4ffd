-- Nexmark query 12, windows: how often a person bids in ten seconds. The original takes the time
-- of the machine, which gives another answer in every run; this takes that of the bids.
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

CREATE SINK results (bidder BIGINT, bids BIGINT, start_time TIMESTAMP, end_time TIMESTAMP)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY n12
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT bidder, count(*) AS bids, window_start AS start_time, window_end AS end_time
FROM tumble(bids, date_time, INTERVAL '10 seconds')
GROUP BY bidder, window_start, window_end
EMIT ON WINDOW CLOSE;
