-- The orders as DuckDB reads them, for the answers beside this file.
-- `cargo xtask bench` fills in ${FILES}, the folder of the files. The four sentinels, which close
-- the windows of the orders, are not among the files that are read.
CREATE VIEW orders AS
SELECT *
FROM read_json('${FILES}/p*.jsonl', format = 'newline_delimited', columns = {
  time: 'TIMESTAMP',
  order_id: 'BIGINT',
  client_id: 'BIGINT',
  symbol: 'VARCHAR',
  amount: 'BIGINT',
  price: 'DECIMAL(18, 2)',
  buy: 'VARCHAR'
});
