-- Bounded reads: what is in the topic now. They end.
SELECT count(*) AS messages FROM cpu_raw;

-- The newest five, as text; an offset is a place in the topic.
SELECT arrow_cast(value, 'Utf8') AS line, "partition", "offset"
FROM cpu_raw ORDER BY "offset" DESC LIMIT 5;

SELECT "time", usage_idle, usage_iowait, usage_user, usage_system
FROM cpu WHERE measurement = 'cpu' AND cpu = 'cpu-total' ORDER BY "time" LIMIT 5;
