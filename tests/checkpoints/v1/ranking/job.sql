CREATE SOURCE orders (time TIMESTAMP, order_id BIGINT, client_id BIGINT, symbol VARCHAR, amount INT, price DOUBLE, buy VARCHAR,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'datagen', preset = 'orders', rows = 400, 'time.step' = '500 ms', symbols = 3, 'max.records.per.epoch' = 10);
CREATE SINK out WITH (connector = 'console') FORMAT JSON;
CREATE STREAMING QUERY q WITH (checkpoint = 'DIR/checkpoint', 'checkpoint.retain' = 2, trigger = 'available-now') AS
INSERT INTO out
SELECT window_start, symbol, order_id, price FROM (
  SELECT *, row_number() OVER (PARTITION BY window_start, window_end, symbol ORDER BY price DESC, order_id) AS place
  FROM tumble(orders, time, INTERVAL '40 seconds')) WHERE place <= 3;
