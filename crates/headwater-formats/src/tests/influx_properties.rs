//! INFLUX on random lines: what was written is read, and the decoders' contract holds on noise.

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampNanosecondArray,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::properties::{check_independence, check_projection};
use super::*;

fn columns() -> SchemaRef {
    schema(&[
        ("measurement", DataType::Utf8View),
        ("a tag", DataType::Utf8View),
        ("i", DataType::Int64),
        ("d", DataType::Float64),
        ("s", DataType::Utf8View),
        ("b", DataType::Boolean),
        ("time", DataType::Timestamp(TimeUnit::Nanosecond, None)),
    ])
}

/// What a line says.
#[derive(Debug, Clone)]
struct Line {
    measurement: String,
    tag: Option<String>,
    /// Tags and fields that nobody wants.
    others: Vec<(String, String)>,
    i: Option<i64>,
    d: Option<f64>,
    s: Option<String>,
    b: Option<bool>,
    time: Option<i64>,
    end: &'static str,
}

/// A name that a line can hold: it is not empty and ends with no backslash.
fn name() -> impl Strategy<Value = String> {
    "[a-z,= \\\\\"#é\u{1b}]{0,6}[a-z,= \"é]"
}

fn line() -> impl Strategy<Value = Line> {
    use proptest::option::of;
    let end = prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just("  \n# end\n\n")];
    let finite = any::<f64>().prop_filter("a line has no infinity", |v| v.is_finite());
    let values = (
        of(any::<i64>()),
        of(finite),
        of(any::<String>()),
        of(any::<bool>()),
    );
    let measurement = name().prop_filter("it would be a comment", |n| !n.starts_with('#'));
    let others = vec((name(), name()), 0..4);
    (
        measurement,
        of(name()),
        others,
        values,
        of(any::<i64>()),
        end,
    )
        .prop_map(|(measurement, tag, others, (i, d, s, b), time, end)| Line {
            measurement,
            tag,
            // A key of one letter could be that of a wanted column.
            others: others
                .into_iter()
                .map(|(k, v)| (format!("k{k}"), v))
                .collect(),
            i,
            d,
            s,
            b,
            time,
            end,
        })
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

impl Line {
    fn written(&self) -> String {
        let tag_name = |text: &str| escaped(text, &[',', '=', ' ']);
        let quoted = |text: &str| format!("\"{}\"", escaped(text, &['"', '\\']));
        let mut out = escaped(&self.measurement, &[',', ' ']);
        for (key, value) in &self.others {
            out += &format!(",{}={}", tag_name(key), tag_name(value));
        }
        if let Some(tag) = &self.tag {
            out += &format!(",a\\ tag={}", tag_name(tag));
        }
        let mut fields = Vec::new();
        fields.extend(self.d.map(|v| format!("d={v:?}")));
        fields.extend(self.b.map(|v| format!("b={v}")));
        fields.extend(self.i.map(|v| format!("i={v}i")));
        let others = self.others.iter();
        fields.extend(others.map(|(k, v)| format!("{}={}", tag_name(k), quoted(v))));
        fields.extend(self.s.iter().map(|v| format!("s={}", quoted(v))));
        if fields.is_empty() {
            fields.push("other=1".to_string());
        }
        out += &format!(" {}", fields.join(","));
        out.extend(self.time.map(|v| format!(" {v}")));
        out + self.end
    }
}

/// Records that are good, cut short, damaged, or noise.
fn record() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => line().prop_map(|l| l.written().into_bytes()),
        2 => (line(), any::<prop::sample::Index>()).prop_map(|(l, at)| {
            let mut bytes = l.written().into_bytes();
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        2 => (line(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(l, at, byte)| {
            let mut bytes = l.written().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        2 => "[ibd\"\\\\,= \n\r#0-9é-]{0,24}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn what_was_written_is_read(lines in vec(line(), 1..8)) {
        let texts: Vec<_> = lines.iter().map(Line::written).collect();
        let decoded = decode(&spec("influx", &[]), &columns(), &records(&texts));
        prop_assert_eq!(&decoded.bad, &vec![]);
        let measurements = lines.iter().map(|l| Some(l.measurement.as_str()));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(measurements.collect::<StringViewArray>()),
            Arc::new(lines.iter().map(|l| l.tag.as_deref()).collect::<StringViewArray>()),
            Arc::new(lines.iter().map(|l| l.i).collect::<Int64Array>()),
            Arc::new(lines.iter().map(|l| l.d).collect::<Float64Array>()),
            Arc::new(lines.iter().map(|l| l.s.as_deref()).collect::<StringViewArray>()),
            Arc::new(lines.iter().map(|l| l.b).collect::<BooleanArray>()),
            Arc::new(lines.iter().map(|l| l.time).collect::<TimestampNanosecondArray>()),
        ];
        let expected = RecordBatch::try_new(columns(), arrays).unwrap();
        prop_assert_eq!(&decoded.rows, &expected);
    }

    #[test]
    fn no_record_depends_on_another(
        payloads in vec(proptest::option::weighted(0.9, record()), 0..24),
        cuts in vec(0..24_usize, 0..4),
    ) {
        let payloads: BinaryArray = payloads.iter().map(|p| p.as_deref()).collect();
        check_independence(&spec("influx", &[]), &columns(), &payloads, &cuts)?;
    }

    #[test]
    fn wanting_fewer_columns_keeps_the_rows_of_more(
        payloads in vec(record(), 0..16),
        wanted in proptest::sample::subsequence(vec![0_usize, 1, 2, 3, 4, 5, 6], 0..7),
    ) {
        check_projection(&spec("influx", &[]), &columns(), &records(&payloads), &wanted)?;
    }
}
