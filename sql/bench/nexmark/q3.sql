-- Nexmark query 3, local items: what people of three states offer in one category. The original
-- joins auctions with persons; here both are rows of one stream, and an auction looks back at its
-- seller, who has come before.
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
SELECT id AS person, name, city, state, NULL AS auction, NULL AS category, date_time FROM persons
UNION ALL
SELECT seller AS person, NULL, NULL, NULL, id AS auction, category, date_time FROM auctions;

CREATE SINK results (name VARCHAR, city VARCHAR, state VARCHAR, id BIGINT)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY n3
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT name, city, state, auction AS id
FROM (
  SELECT
    auction, category,
    first_value(name) OVER (PARTITION BY person ORDER BY date_time) AS name,
    first_value(city) OVER (PARTITION BY person ORDER BY date_time) AS city,
    first_value(state) OVER (PARTITION BY person ORDER BY date_time) AS state
  FROM comings_and_offers
)
WHERE category = 10 AND state IN ('OR', 'ID', 'CA');
