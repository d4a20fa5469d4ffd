-- Nexmark query 8, new users: who has come and offered something in the same ten seconds. The
-- original joins windows of persons with windows of auctions; here both are rows of one stream,
-- and a window has to have some of each.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${PERSONS}, ${AUCTIONS} and ${OUT}.
CREATE SOURCE persons (
  id BIGINT,
  name VARCHAR,
  email_address VARCHAR,
  credit_card VARCHAR,
  city VARCHAR,
  state VARCHAR,
  date_time TIMESTAMP,
  extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${PERSONS}',
  'start' = 'earliest'
) FORMAT JSON;

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

CREATE VIEW comings_and_offers AS
SELECT id, name, date_time FROM persons
UNION ALL
SELECT seller AS id, NULL AS name, date_time FROM auctions;

CREATE SINK results (id BIGINT, name VARCHAR, start_time TIMESTAMP)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY n8
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT id, max(name) AS name, window_start AS start_time
FROM tumble(comings_and_offers, date_time, INTERVAL '10 seconds')
GROUP BY id, window_start, window_end
HAVING count(name) > 0 AND count(*) > count(name)
EMIT ON WINDOW CLOSE;
