-- Nexmark query 14, calculation: dear bids in euros, whether it was day or night, and how often
-- their text has a letter, for which the original has a function of its own.
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
  auction BIGINT, bidder BIGINT, price DOUBLE, bid_time VARCHAR, date_time TIMESTAMP,
  extra VARCHAR, c_counts BIGINT
) WITH (connector = 'blackhole');

CREATE STREAMING QUERY n14
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT
  auction, bidder, 0.908 * price AS price,
  CASE
    WHEN date_part('hour', date_time) BETWEEN 8 AND 18 THEN 'dayTime'
    WHEN date_part('hour', date_time) <= 6 OR date_part('hour', date_time) >= 20 THEN 'nightTime'
    ELSE 'otherTime'
  END AS bid_time,
  date_time, extra,
  length(extra) - length(replace(extra, 'c', '')) AS c_counts
FROM bids
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
