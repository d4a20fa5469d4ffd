CREATE SOURCE orders (time TIMESTAMP, order_id BIGINT, client_id BIGINT, symbol VARCHAR, amount INT, price DOUBLE, buy VARCHAR,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'datagen', preset = 'orders', rows = 400, 'time.step' = '500 ms', symbols = 3, 'max.records.per.epoch' = 10);
CREATE SINK out WITH (connector = 'console') FORMAT JSON;
CREATE STREAMING QUERY q WITH (checkpoint = 'DIR/checkpoint', 'checkpoint.retain' = 2, trigger = 'available-now') AS
INSERT INTO out
SELECT time, amount % 9 AS lot, amount, sum(amount) OVER (PARTITION BY amount % 9 ORDER BY time ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS recent FROM orders;
