-- Nexmark query 10, log to files: bids as files in a folder for every day and minute.
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
  auction BIGINT, bidder BIGINT, price BIGINT, date_time TIMESTAMP, extra VARCHAR,
  dt VARCHAR, hm VARCHAR
) PARTITIONED BY (dt, hm)
WITH (connector = 'filesystem', path = '${OUT}/rows') FORMAT JSON;

CREATE STREAMING QUERY n10
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT
  auction, bidder, price, date_time, extra,
  to_char(date_time, '%Y-%m-%d') AS dt,
  to_char(date_time, '%H-%M') AS hm
FROM bids;
