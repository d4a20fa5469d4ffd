-- Reading alone: every message goes through the client and the source, none is decoded.
-- `cargo xtask bench` fills in ${BOOTSTRAP}, ${TOPIC} and ${OUT}.
CREATE SOURCE orders (payload BYTEA) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = '${TOPIC}',
  'start' = 'earliest'
) FORMAT RAW;

CREATE SINK results (payload BYTEA)
WITH (connector = 'blackhole');

CREATE STREAMING QUERY floor
WITH (trigger = 'available-now', checkpoint = '${OUT}/checkpoint')
AS INSERT INTO results
SELECT payload FROM orders;
