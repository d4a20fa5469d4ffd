-- Every reading, as it comes.
CREATE SINK readings WITH (connector = 'console');

CREATE STREAMING QUERY readings AS INSERT INTO readings
SELECT "time", usage_idle AS idle, usage_iowait AS iowait, usage_user AS "user", usage_system AS sys
FROM cpu WHERE measurement = 'cpu' AND cpu = 'cpu-total';
