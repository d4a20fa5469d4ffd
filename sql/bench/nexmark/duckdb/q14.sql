-- The answer of Nexmark query 14, by DuckDB.
SELECT
  auction, bidder, 0.908::DOUBLE * price AS price,
  CASE
    WHEN date_part('hour', date_time) BETWEEN 8 AND 18 THEN 'dayTime'
    WHEN date_part('hour', date_time) <= 6 OR date_part('hour', date_time) >= 20 THEN 'nightTime'
    ELSE 'otherTime'
  END AS bid_time,
  date_time, extra,
  length(extra) - length(replace(extra, 'c', '')) AS c_counts
FROM bids
WHERE 0.908::DOUBLE * price > 1000000 AND 0.908::DOUBLE * price < 50000000;
