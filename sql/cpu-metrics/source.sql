-- Telegraf's readings of a machine's processors, as its Kafka output writes them: a message is a line
-- of InfluxDB's line protocol. Tags and fields are columns by their names; the time is the line's own.
--   cpu,cpu=cpu-total,host=ip-10-0-0-7 usage_user=2.1,usage_system=0.5,… 1767225600000000000
CREATE SOURCE cpu (
  measurement  VARCHAR,
  host         VARCHAR,
  cpu          VARCHAR,
  usage_idle   DOUBLE,
  usage_iowait DOUBLE,
  usage_user   DOUBLE,
  usage_system DOUBLE,
  "time"       TIMESTAMP,
  WATERMARK FOR "time" AS "time" - INTERVAL '10 seconds'
) WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = 'cpu-metric',
  'start' = 'earliest',
  bad_data = 'drop'                       -- a line that is broken is left out and counted
) FORMAT INFLUX;

-- The same topic as it is: key, value, topic, partition, offset, timestamp, timestamp_type.
CREATE SOURCE cpu_raw WITH (
  connector = 'kafka',
  'bootstrap.servers' = '${BOOTSTRAP}',
  topic = 'cpu-metric'
);
