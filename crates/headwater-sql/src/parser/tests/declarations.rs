//! Sources, sinks and tables with connectors.

use super::*;

#[test]
fn canonical_source() {
    check(
        "CREATE SOURCE orders (
  order_id BIGINT NOT NULL, symbol VARCHAR, price DOUBLE,
  ts       TIMESTAMP,
  k        VARCHAR   METADATA FROM 'key',
  \"Offset\" BIGINT METADATA,
  total    DOUBLE    AS amount * price,
  key BYTEA, value STRUCT<a INT, b VARCHAR>, watermark INT, unique INT, partition INT,
  WATERMARK FOR ts AS ts - INTERVAL '10 seconds'
) WITH (
  connector = 'kafka', topic.pattern = 'ord.*',
  'bootstrap.servers' = 'localhost:9092', start = earliest,
  'idle-timeout' = '30 seconds', bad_data = dead-letter, idle = INTERVAL '5' SECOND,
  'max.records.per.epoch' = 500000, ratio = -0.5, strict = TRUE,
) FORMAT JSON KEY FORMAT CSV (delimiter = '|', header = false);",
        &expect![[r#"
            source orders replace=false if_not_exists=false
              order_id BIGINT: payload not null at 2:3
              symbol VARCHAR: payload at 2:29
              price DOUBLE: payload at 2:45
              ts TIMESTAMP: payload at 3:3
              k VARCHAR: metadata "key" at 4:3
              Offset BIGINT: metadata "Offset" at 5:3
              total DOUBLE: generated amount * price at 6:3
              key BYTEA: payload at 7:3
              value STRUCT<a INT, b VARCHAR>: payload at 7:14
              watermark INT: payload at 7:46
              unique INT: payload at 7:61
              partition INT: payload at 7:73
              watermark ts as ts - INTERVAL '10 seconds' at 8:3
              "connector" = "kafka"
              "topic.pattern" = "ord.*"
              "bootstrap.servers" = "localhost:9092"
              "start" = "earliest"
              "idle-timeout" = "30 seconds"
              "bad_data" = "dead-letter"
              "idle" = "INTERVAL '5' SECOND"
              "max.records.per.epoch" = "500000"
              "ratio" = "-0.5"
              "strict" = "TRUE"
              format json []
              key format csv [("delimiter", "|"), ("header", "false")]
        "#]],
    );
}

#[test]
fn raw_source_and_sink() {
    check(
        "create or replace source if_raw with (connector = 'kafka', topic = 'a,b');
CREATE SOURCE IF NOT EXISTS \"Raw\" FORMAT RAW WITH (connector = 'memory');
CREATE SINK metrics (symbol VARCHAR, window_start TIMESTAMP, volume BIGINT, PRIMARY KEY (symbol, window_start))
WITH (connector = 'kafka', delivery = 'exactly-once') FORMAT DEBEZIUM JSON;
CREATE SINK out WITH (connector = console, format = 'table');
CREATE SINK daily (day DATE, \"N\" BIGINT) PARTITIONED BY (Day, \"N\") WITH (connector = 'filesystem')",
        &expect![[r#"
            source if_raw replace=true if_not_exists=false
              "connector" = "kafka"
              "topic" = "a,b"
            source Raw replace=false if_not_exists=true
              "connector" = "memory"
              format raw []
            sink metrics replace=false if_not_exists=false
              symbol VARCHAR: payload at 3:22
              window_start TIMESTAMP: payload at 3:38
              volume BIGINT: payload at 3:62
              primary key ["symbol", "window_start"]
              "connector" = "kafka"
              "delivery" = "exactly-once"
              format debezium-json []
            sink out replace=false if_not_exists=false
              "connector" = "console"
              "format" = "table"
            sink daily replace=false if_not_exists=false
              day DATE: payload at 6:20
              N BIGINT: payload at 6:30
              partitioned by ["day", "N"]
              "connector" = "filesystem"
        "#]],
    );
}

#[test]
fn flink_tables() {
    check(
        "CREATE TABLE bids (
  bidder BIGINT PRIMARY KEY NOT ENFORCED COMMENT 'who',
  price DECIMAL(10, 2),
  at_ms BIGINT METADATA FROM 'timestamp' VIRTUAL,
  proc AS PROCTIME(),
  bid_time TIMESTAMP(3),
  WATERMARK FOR bid_time AS bid_time - INTERVAL '5' SECOND
) COMMENT 'bids' WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'localhost:9092',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
);
CREATE TEMPORARY TABLE IF NOT EXISTS printed (a INT, CONSTRAINT pk PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'print');
CREATE TABLE plain (a INT, connector VARCHAR) WITH (fillfactor = 70);
CREATE TABLE filled AS WITH x AS (SELECT 1 AS connector) SELECT connector = 1 FROM x",
        &expect![[r#"
            table bids replace=false if_not_exists=false
              bidder BIGINT: payload at 2:3
              price DECIMAL(10,2): payload at 3:3
              at_ms BIGINT: metadata "timestamp" at 4:3
              proc : generated PROCTIME() at 5:3
              bid_time TIMESTAMP(3): payload at 6:3
              watermark bid_time as bid_time - INTERVAL '5' SECOND at 7:3
              primary key ["bidder"]
              "connector" = "kafka"
              "properties.bootstrap.servers" = "localhost:9092"
              "scan.startup.mode" = "earliest-offset"
              "format" = "json"
            table printed replace=false if_not_exists=true
              a INT: payload at 14:47
              primary key ["a"]
              "connector" = "print"
            datafusion: CREATE TABLE plain (a INT, connector VARCHAR) WITH (fillfactor = 70)
            datafusion: CREATE TABLE filled AS WITH x AS (SELECT 1 AS connector) SELECT connector = 1 FROM x
        "#]],
    );
}

#[test]
fn arroyo_and_risingwave_tables() {
    check(
        "CREATE TABLE events (
  user_id BIGINT NOT NULL,
  event_time TIMESTAMP GENERATED ALWAYS AS (CAST(date_string AS TIMESTAMP)) STORED
) WITH (connector = 'kafka', bootstrap_servers = 'localhost:9092', type = 'source', 'source.offset' = 'earliest');
CREATE SOURCE s (v INT, t TIMESTAMPTZ, WATERMARK FOR t AS t - INTERVAL '5 minutes')
WITH (connector = 'kafka', properties.bootstrap.server = 'localhost:9092', scan.startup.mode = 'earliest')
FORMAT PLAIN ENCODE JSON (timestamptz.handling.mode = 'utc')",
        &expect![[r#"
            table events replace=false if_not_exists=false
              user_id BIGINT: payload not null at 2:3
              event_time TIMESTAMP: generated (CAST(date_string AS TIMESTAMP)) at 3:3
              "connector" = "kafka"
              "bootstrap_servers" = "localhost:9092"
              "type" = "source"
              "source.offset" = "earliest"
            source s replace=false if_not_exists=false
              v INT: payload at 5:18
              t TIMESTAMPTZ: payload at 5:25
              watermark t as t - INTERVAL '5 minutes' at 5:40
              "connector" = "kafka"
              "properties.bootstrap.server" = "localhost:9092"
              "scan.startup.mode" = "earliest"
              format json [("timestamptz.handling.mode", "utc")]
        "#]],
    );
}

#[test]
fn datafusion_external_tables() {
    check(
        "CREATE UNBOUNDED EXTERNAL TABLE orders (id INT NOT NULL, ts TIMESTAMP)
STORED AS KAFKA LOCATION 'kafka://a:9092,b:9092/orders'
OPTIONS ('watermark' 'ts - INTERVAL ''10 seconds''', start earliest);
CREATE OR REPLACE EXTERNAL TABLE raw STORED AS kafka OPTIONS ('topic' 'x');
CREATE EXTERNAL TABLE p (a INT) STORED AS PARQUET LOCATION 'p.parquet'",
        &expect![[r#"
            source orders replace=false if_not_exists=false
              id INT: payload not null at 1:41
              ts TIMESTAMP: payload at 1:58
              watermark ts as ts - INTERVAL '10 seconds' at 1:1
              "connector" = "kafka"
              "bootstrap.servers" = "a:9092,b:9092"
              "topic" = "orders"
              "start" = "earliest"
            source raw replace=true if_not_exists=false
              "connector" = "kafka"
              "topic" = "x"
            datafusion: CREATE EXTERNAL TABLE p STORED AS PARQUET LOCATION 'p.parquet'
        "#]],
    );
}

#[test]
fn maps_have_two_spellings() {
    check(
        "CREATE SOURCE s (
  a MAP<VARCHAR, BIGINT>, b map(VARCHAR, DECIMAL(10, 2)) NOT NULL, c MAP<VARCHAR, MAP(VARCHAR, INT[])>[],
  d STRUCT<x MAP(VARCHAR, STRUCT<y INT>), z ARRAY<MAP<VARCHAR, INT>>>, map INT, e BIGINT AS map(a, b), f INT
) WITH (connector = 'memory');",
        &expect![[r#"
            source s replace=false if_not_exists=false
              a Map(VARCHAR, BIGINT): payload at 2:3
              b Map(VARCHAR, DECIMAL(10,2)): payload not null at 2:27
              c Map(VARCHAR, Map(VARCHAR, INT[]))[]: payload at 2:68
              d STRUCT<x Map(VARCHAR, STRUCT<y INT>), z ARRAY<Map(VARCHAR, INT)>>: payload at 3:3
              map INT: payload at 3:72
              e BIGINT: generated map(a, b) at 3:81
              f INT: payload at 3:104
              "connector" = "memory"
        "#]],
    );
}

#[test]
fn rows_are_structs() {
    check(
        "CREATE SOURCE s (
  a ROW<x INT>, b ROW(x INT, y row(\"Z\" DECIMAL(10, 2))) NOT NULL, c ROW<x ROW<y INT>>,
  d MAP(VARCHAR, ROW(row INT)), row INT, e BIGINT AS row(a, b), f TIMESTAMP_LTZ(3)
) WITH (connector = 'memory');",
        &expect![[r#"
            source s replace=false if_not_exists=false
              a STRUCT<x INT>: payload at 2:3
              b STRUCT<x INT, y STRUCT<"Z" DECIMAL(10,2)>>: payload not null at 2:17
              c STRUCT<x STRUCT<y INT>>: payload at 2:67
              d Map(VARCHAR, STRUCT<row INT>): payload at 3:3
              row INT: payload at 3:33
              e BIGINT: generated row(a, b) at 3:42
              f TIMESTAMP_LTZ(3): payload at 3:65
              "connector" = "memory"
        "#]],
    );
}
