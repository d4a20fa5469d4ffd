-- The answer of Nexmark query 10, by DuckDB.
SELECT
  auction, bidder, price, date_time, extra,
  strftime(date_time, '%Y-%m-%d') AS dt,
  strftime(date_time, '%H-%M') AS hm
FROM bids;
