//! Functions that other systems have under a name that is none here, and what to write instead.

/// Names as Spark, Flink and others have them, in lower case, with what to write.
pub const OTHER_NAMES: &[(&str, &str)] = &[
    // Lists and texts of groups.
    ("listagg", "Write string_agg(x, ',')."),
    ("group_concat", "Write string_agg(x, ',')."),
    ("collect_list", "Write array_agg(x)."),
    ("collect", "Write array_agg(x)."),
    ("collect_set", "Write array_agg(DISTINCT x)."),
    // One value of a group.
    ("max_by", "Write last_value(x ORDER BY y)."),
    ("arg_max", "Write last_value(x ORDER BY y)."),
    ("min_by", "Write first_value(x ORDER BY y)."),
    ("arg_min", "Write first_value(x ORDER BY y)."),
    ("first", "Write first_value(x ORDER BY y)."),
    ("last", "Write last_value(x ORDER BY y)."),
    // Counts and measures.
    ("count_if", "Write count(*) FILTER (WHERE …)."),
    ("countif", "Write count(*) FILTER (WHERE …)."),
    ("sum_if", "Write sum(x) FILTER (WHERE …)."),
    ("approx_count_distinct", "Write approx_distinct(x)."),
    (
        "percentile",
        "Write approx_percentile_cont(x, 0.9), or median(x).",
    ),
    ("percentile_approx", "Write approx_percentile_cont(x, 0.9)."),
    ("approx_percentile", "Write approx_percentile_cont(x, 0.9)."),
    ("every", "Write bool_and(x)."),
    ("variance", "Write var(x)."),
    // Time.
    ("proctime", "Write now(), which is the time of the epoch."),
    (
        "localtimestamp",
        "Write now(), which is the time of the epoch.",
    ),
    (
        "current_row_timestamp",
        "Write now(), which is the time of the epoch.",
    ),
    ("getdate", "Write now(), which is the time of the epoch."),
    ("unix_timestamp", "Write to_unixtime(ts)."),
    (
        "to_timestamp_ltz",
        "Write to_timestamp_millis(n), or to_timestamp_seconds(n).",
    ),
    ("timestamp_millis", "Write to_timestamp_millis(n)."),
    ("timestamp_seconds", "Write to_timestamp_seconds(n)."),
    ("year", "Write date_part('year', ts)."),
    ("month", "Write date_part('month', ts)."),
    ("day", "Write date_part('day', ts)."),
    ("dayofmonth", "Write date_part('day', ts)."),
    ("dayofweek", "Write date_part('dow', ts)."),
    ("hour", "Write date_part('hour', ts)."),
    ("minute", "Write date_part('minute', ts)."),
    ("second", "Write date_part('second', ts)."),
    ("date_add", "Write ts + INTERVAL '1 day'."),
    ("date_sub", "Write ts - INTERVAL '1 day'."),
    ("dateadd", "Write ts + INTERVAL '1 day'."),
    ("timestampadd", "Write ts + INTERVAL '1 hour'."),
    ("datediff", "Subtract the times: a - b is an interval."),
    ("timestampdiff", "Subtract the times: a - b is an interval."),
    // Texts.
    ("regexp_extract", "Write regexp_match(s, 'pattern')[1]."),
    (
        "rlike",
        "Write s ~ 'pattern', or regexp_like(s, 'pattern').",
    ),
    ("split", "Write string_to_array(s, ',')."),
    ("locate", "Write strpos(s, 'part')."),
    ("len", "Write length(s)."),
    // Nested values.
    ("explode", "Write unnest(list)."),
    ("posexplode", "Write unnest(list)."),
    ("size", "Write cardinality(list)."),
    ("json_value", "Write get_json_object(text, '$.a')."),
    ("json_query", "Write get_json_object(text, '$.a')."),
    ("json_extract", "Write get_json_object(text, '$.a')."),
    ("json_tuple", "Write from_json(text, 'a INT, b VARCHAR')."),
    ("json_extract_string", "Write text ->> 'a'."),
    ("json_exists", "Write json_contains(text, 'a')."),
    ("to_csv", "Write a sink with FORMAT CSV, or to_json(x)."),
    ("to_avro", "Write a sink with FORMAT AVRO, or to_json(x)."),
    (
        "to_protobuf",
        "Write a sink with FORMAT PROTOBUF, or to_json(x).",
    ),
    (
        "from_protobuf",
        "Write a source with FORMAT PROTOBUF, or KEY FORMAT PROTOBUF.",
    ),
    (
        "from_msgpack",
        "Write a source with FORMAT MSGPACK, or KEY FORMAT MSGPACK.",
    ),
    (
        "schema_of_json",
        "Write the columns: from_json(text, 'a INT, b VARCHAR').",
    ),
    ("unbase64", "Write decode(text, 'base64')."),
    ("unhex", "Write decode(text, 'hex')."),
    ("base64", "Write encode(bytes, 'base64')."),
    ("hex", "Write encode(bytes, 'hex')."),
    // Choices and types.
    ("if", "Write CASE WHEN … THEN … ELSE … END."),
    ("iff", "Write CASE WHEN … THEN … ELSE … END."),
    ("isnull", "Write x IS NULL."),
    ("isnotnull", "Write x IS NOT NULL."),
    ("string", "Write CAST(x AS VARCHAR)."),
    ("typeof", "Write arrow_typeof(x)."),
    ("hash", "Write md5(x)."),
    ("xxhash64", "Write md5(x)."),
];

/// What to write in place of a function that is none here.
pub(crate) fn other_name(function: &str) -> Option<&'static str> {
    let wanted = function.to_ascii_lowercase();
    let found = OTHER_NAMES.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, instead)| *instead)
}
