CREATE SOURCE orders (time TIMESTAMP, order_id BIGINT, client_id BIGINT, symbol VARCHAR, amount INT, price DOUBLE, buy VARCHAR,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'datagen', preset = 'orders', rows = 400, 'time.step' = '500 ms', symbols = 3, 'max.records.per.epoch' = 10);
CREATE SINK out WITH (connector = 'console') FORMAT JSON;
CREATE STREAMING QUERY q WITH (checkpoint = 'DIR/checkpoint', 'checkpoint.retain' = 2, trigger = 'available-now') AS
INSERT INTO out
SELECT window_start, window_end, amount % 20 AS lot, count(*) AS n, sum(amount) AS total
FROM SESSION(TABLE orders PARTITION BY amount % 20, DESCRIPTOR(time), INTERVAL '9 seconds') GROUP BY window_start, window_end, amount % 20;
