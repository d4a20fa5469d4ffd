-- The answer of Nexmark query 16, by DuckDB. What is distinct is grouped first: DuckDB keeps many
-- small sets slowly.
WITH days AS (
  SELECT
    channel, strftime(date_time, '%Y-%m-%d') AS day, date_time, bidder, auction,
    price < 10000 AS is_rank1,
    price >= 10000 AND price < 1000000 AS is_rank2,
    price >= 1000000 AS is_rank3
  FROM bids
), totals AS (
  SELECT
    channel, day,
    max(strftime(date_time, '%H:%M')) AS minute,
    count(*) AS total_bids,
    count(*) FILTER (WHERE is_rank1) AS rank1_bids,
    count(*) FILTER (WHERE is_rank2) AS rank2_bids,
    count(*) FILTER (WHERE is_rank3) AS rank3_bids
  FROM days
  GROUP BY channel, day
), bidders AS (
  SELECT
    channel, day,
    count(*) AS total_bidders,
    count(*) FILTER (WHERE has_rank1) AS rank1_bidders,
    count(*) FILTER (WHERE has_rank2) AS rank2_bidders,
    count(*) FILTER (WHERE has_rank3) AS rank3_bidders
  FROM (
    SELECT
      channel, day, bidder,
      bool_or(is_rank1) AS has_rank1, bool_or(is_rank2) AS has_rank2, bool_or(is_rank3) AS has_rank3
    FROM days
    GROUP BY channel, day, bidder
  )
  GROUP BY channel, day
), auctions AS (
  SELECT
    channel, day,
    count(*) AS total_auctions,
    count(*) FILTER (WHERE has_rank1) AS rank1_auctions,
    count(*) FILTER (WHERE has_rank2) AS rank2_auctions,
    count(*) FILTER (WHERE has_rank3) AS rank3_auctions
  FROM (
    SELECT
      channel, day, auction,
      bool_or(is_rank1) AS has_rank1, bool_or(is_rank2) AS has_rank2, bool_or(is_rank3) AS has_rank3
    FROM days
    GROUP BY channel, day, auction
  )
  GROUP BY channel, day
)
SELECT
  channel, day, minute,
  total_bids, rank1_bids, rank2_bids, rank3_bids,
  total_bidders, rank1_bidders, rank2_bidders, rank3_bidders,
  total_auctions, rank1_auctions, rank2_auctions, rank3_auctions
FROM totals JOIN bidders USING (channel, day) JOIN auctions USING (channel, day);
