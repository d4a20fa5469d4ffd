//! Queries, and statements about objects.

use super::*;

#[test]
fn emit_and_late_rows() {
    check(
        "INSERT INTO metrics
SELECT symbol, window_start, sum(amount) AS volume
FROM hop(orders, ts, slide => INTERVAL '5 minutes', size => INTERVAL '10 minutes')
GROUP BY symbol, window_start, window_end
EMIT ON WINDOW CLOSE LATE ROWS INTO orders_late;
SELECT a FROM t EMIT FINAL;
select a from t where a > 1 emit on update;
SELECT a FROM t GROUP BY a EMIT CHANGES;
SELECT a FROM t ORDER BY a LIMIT 5 EMIT COMPLETE;
SELECT count(*) FROM a JOIN b ON a.x = b.x EMIT PER EPOCH;
SELECT a FROM t LATE ROWS INTO late;
SELECT a FROM (SELECT b AS a FROM t) AS emit EMIT CHANGES;
SELECT emit FROM emit WHERE emit > 1",
        &expect![[r#"
            insert into metrics []: SELECT symbol, window_start, sum(amount) AS volume FROM hop(orders, ts, slide => INTERVAL '5 minutes', size => INTERVAL '10 minutes') GROUP BY symbol, window_start, window_end
              emit OnWindowClose at 5:1-5:21
              late rows into orders_late
            select stream=false: SELECT a FROM t
              emit Final at 6:17-6:27
            select stream=false: SELECT a FROM t WHERE a > 1
              emit OnUpdate at 7:29-7:43
            select stream=false: SELECT a FROM t GROUP BY a
              emit Changes at 8:28-8:40
            select stream=false: SELECT a FROM t ORDER BY a LIMIT 5
              emit Complete at 9:36-9:49
            select stream=false: SELECT count(*) FROM a JOIN b ON a.x = b.x
              emit PerEpoch at 10:44-10:58
            select stream=false: SELECT a FROM t
              late rows into late
            select stream=false: SELECT a FROM (SELECT b AS a FROM t) AS emit
              emit Changes at 12:46-12:58
            select stream=false: SELECT emit FROM emit WHERE emit > 1
        "#]],
    );
}

#[test]
fn stream_is_a_word_and_a_name() {
    check(
        "SELECT STREAM symbol, amount FROM orders WHERE amount > 500;
SELECT STREAM * FROM orders;
SELECT STREAM DISTINCT a FROM t;
SELECT STREAM (a + 1), b FROM t;
SELECT STREAM 1;
SELECT STREAM NOT a FROM t;
WITH x AS (SELECT a FROM t) SELECT STREAM a FROM x;
SELECT STREAM stream FROM t;
SELECT STREAM at, a FROM t;
SELECT stream AT TIME ZONE 'UTC' FROM t;
SELECT stream FROM t;
SELECT stream, a FROM t;
SELECT stream.a FROM stream;
SELECT stream AS s FROM t;
SELECT stream * 2 FROM t;
SELECT stream(a) FROM t;
SELECT stream IS NULL, stream + 1 FROM t;
SELECT stream NOT IN (1) FROM t;
SELECT \"stream\" a FROM t;
SELECT stream",
        &expect![[r#"
            select stream=true: SELECT symbol, amount FROM orders WHERE amount > 500
            select stream=true: SELECT * FROM orders
            select stream=true: SELECT DISTINCT a FROM t
            select stream=true: SELECT (a + 1), b FROM t
            select stream=true: SELECT 1
            select stream=true: SELECT NOT a FROM t
            select stream=true: WITH x AS (SELECT a FROM t) SELECT a FROM x
            select stream=true: SELECT stream FROM t
            select stream=true: SELECT at, a FROM t
            select stream=false: SELECT stream AT TIME ZONE 'UTC' FROM t
            select stream=false: SELECT stream FROM t
            select stream=false: SELECT stream, a FROM t
            select stream=false: SELECT stream.a FROM stream
            select stream=false: SELECT stream AS s FROM t
            select stream=false: SELECT stream * 2 FROM t
            select stream=false: SELECT stream(a) FROM t
            select stream=false: SELECT stream IS NULL, stream + 1 FROM t
            select stream=false: SELECT stream NOT IN (1) FROM t
            select stream=false: SELECT "stream" AS a FROM t
            select stream=false: SELECT stream
        "#]],
    );
}

#[test]
fn streaming_queries() {
    check(
        "CREATE STREAMING QUERY volumes
WITH (trigger = '5 seconds', checkpoint = 'file:///var/lib/hw/volumes')
AS INSERT INTO metrics (a, \"B\") SELECT a, b FROM orders EMIT ON UPDATE;
CREATE OR REPLACE STREAMING QUERY q AS INSERT INTO cat.sch.t WITH x AS (SELECT 1) SELECT * FROM x;
START STREAMING QUERY volumes; STOP STREAMING QUERY \"Volumes\";
DROP STREAMING QUERY IF EXISTS volumes; DROP SOURCE orders; DROP SINK IF EXISTS metrics; DROP TABLE t",
        &expect![[r#"
            streaming query volumes replace=false if_not_exists=false [("trigger", "5 seconds"), ("checkpoint", "file:///var/lib/hw/volumes")]
            insert into metrics ["a", "B"]: SELECT a, b FROM orders
              emit OnUpdate at 3:57-3:71
            streaming query q replace=true if_not_exists=false []
            insert into cat.sch.t []: WITH x AS (SELECT 1) SELECT * FROM x
            start volumes
            stop Volumes
            drop StreamingQuery volumes if_exists=true
            drop Source orders if_exists=false
            drop Sink metrics if_exists=true
            datafusion: DROP TABLE t
        "#]],
    );
}

#[test]
fn objects_and_settings() {
    check(
        "SHOW SOURCES; SHOW SINKS; SHOW QUERIES; SHOW STREAMING QUERIES; SHOW TABLES; SHOW TABLES LIKE 'a%';
SHOW CREATE SOURCE orders; SHOW CREATE SINK s; SHOW CREATE TABLE a.b; SHOW CREATE STREAMING QUERY q; SHOW CREATE VIEW v;
SHOW datafusion.execution.batch_size; SHOW ALL;
DESCRIBE orders; DESC a.b.c; DESCRIBE TABLE t; DESCRIBE SELECT 1;
SET 'output-mode' = 'update'; SET checkpoint = 'file:///x'; SET end-of-input = flush; SET dialect.functions TO spark;
SET \"time-zone\" = 'UTC'; SET shards = 16;
SET datafusion.execution.batch_size = 1024; SET TIME ZONE 'UTC'; RESET datafusion.execution.batch_size",
        &expect![[r#"
            show Source
            show Sink
            show StreamingQuery
            show StreamingQuery
            show Table
            datafusion: SHOW TABLES LIKE 'a%'
            show create Source orders
            show create Sink s
            show create Table a.b
            show create StreamingQuery q
            datafusion: SHOW CREATE VIEW v
            datafusion: SHOW datafusion execution batch_size
            datafusion: SHOW ALL
            describe orders
            describe a.b.c
            describe t
            datafusion: DESCRIBE SELECT 1
            set "output-mode" = "update"
            set "checkpoint" = "file:///x"
            set "end-of-input" = "flush"
            set "dialect.functions" = "spark"
            set "time-zone" = "UTC"
            set "shards" = "16"
            datafusion: SET datafusion.execution.batch_size = 1024
            datafusion: SET TIME ZONE 'UTC'
            datafusion: RESET datafusion.execution.batch_size
        "#]],
    );
}

#[test]
fn explain() {
    check(
        "EXPLAIN SELECT STREAM a FROM t EMIT CHANGES;
EXPLAIN ANALYZE VERBOSE INSERT INTO s SELECT 1;
EXPLAIN VERBOSE CREATE STREAMING QUERY q AS INSERT INTO s SELECT 1;
EXPLAIN FORMAT TREE SELECT 1; EXPLAIN (ANALYZE) SELECT 1; EXPLAIN (SELECT 1);
EXPLAIN CREATE VIEW v AS SELECT 1",
        &expect![[r#"
            explain analyze=false verbose=false
            select stream=true: SELECT a FROM t
              emit Changes at 1:32-1:44
            explain analyze=true verbose=true
            insert into s []: SELECT 1
            explain analyze=false verbose=true
            streaming query q replace=false if_not_exists=false []
            insert into s []: SELECT 1
            datafusion: EXPLAIN FORMAT tree SELECT 1
            datafusion: EXPLAIN ANALYZE SELECT 1
            explain analyze=false verbose=false
            select stream=false: (SELECT 1)
            explain analyze=false verbose=false
            datafusion: CREATE VIEW v AS SELECT 1
        "#]],
    );
}

#[test]
fn everything_else_is_datafusions() {
    check(
        "CREATE VIEW v AS SELECT stream FROM t; CREATE TABLE t AS VALUES (1, 2);
INSERT OVERWRITE t SELECT 1; COPY t TO 'x.parquet'; DELETE FROM t WHERE a = 1;
VALUES (1), (2); (SELECT 1) UNION ALL (SELECT 2); FROM t; START TRANSACTION; DROP VIEW v",
        &expect![[r#"
            datafusion: CREATE VIEW v AS SELECT stream FROM t
            datafusion: CREATE TABLE t AS VALUES (1, 2)
            datafusion: INSERT OVERWRITE t SELECT 1
            datafusion: COPY t TO x.parquet
            datafusion: DELETE FROM t WHERE a = 1
            select stream=false: VALUES (1), (2)
            select stream=false: (SELECT 1) UNION ALL (SELECT 2)
            select stream=false: FROM t
            datafusion: START TRANSACTION
            datafusion: DROP VIEW v
        "#]],
    );
}

#[test]
fn window_functions_of_every_engine() {
    check(
        "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' SECOND));
SELECT * FROM HOP(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '5' SECOND, SIZE => INTERVAL '10' SECOND) AS w;
SELECT window, count(*) FROM t GROUP BY window(ts, '10 minutes', '5 minutes') ORDER BY window.end EMIT CHANGES;
SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE);
SELECT hop(interval '5 seconds', interval '10 seconds') AS w FROM t GROUP BY w;
SELECT * FROM (SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c DESC) AS rn FROM t) WHERE rn <= 3",
        &expect![[r#"
            select stream=false: SELECT * FROM TABLE(TUMBLE((SELECT * FROM bid), DESCRIPTOR(ts), INTERVAL '10' SECOND))
            select stream=false: SELECT * FROM HOP(DATA => (SELECT * FROM bid), TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '5' SECOND, SIZE => INTERVAL '10' SECOND) AS w
            select stream=false: SELECT window, count(*) FROM t GROUP BY window(ts, '10 minutes', '5 minutes') ORDER BY window.end
              emit Changes at 3:99-3:111
            select stream=false: SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)
            select stream=false: SELECT hop(INTERVAL '5 seconds', INTERVAL '10 seconds') AS w FROM t GROUP BY w
            select stream=false: SELECT * FROM (SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c DESC) AS rn FROM t) WHERE rn <= 3
        "#]],
    );
}
