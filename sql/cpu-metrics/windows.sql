-- The load of every minute, when no reading of it is missing any more.
CREATE SINK minutes WITH (connector = 'console');

CREATE STREAMING QUERY minutes AS INSERT INTO minutes
SELECT window_start, host, count(*) AS readings,
       round(avg(100 - usage_idle), 1) AS busy, round(max(usage_iowait), 2) AS iowait
FROM tumble(cpu, "time", INTERVAL '1 minute')
WHERE measurement = 'cpu' AND cpu = 'cpu-total'
GROUP BY window_start, window_end, host
EMIT ON WINDOW CLOSE;
