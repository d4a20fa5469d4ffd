//! Records of one line of the line protocol each, to rows.

use arrow::array::BinaryArray;
use arrow::datatypes::SchemaRef;
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::builder::Builder;
use crate::byte_order_mark::check_no_mark;
use crate::influx::cell::InfluxCell;
use crate::influx::keys::Keys;
use crate::influx::options::{InfluxOptions, Part};
use crate::influx::scanner::{Reason, Scanner};
use crate::row_collector::{Flaw, RowCollector};
use headwater_core::excerpt::excerpt;

/// Decodes INFLUX.
///
/// A record is one line; blank lines and comments around it are passed over. A key must be a
/// column's name exactly, case included; other keys are skipped; a key that is missing gives NULL,
/// and so does a missing time. Of a key that comes twice, as a tag or a field, the last value
/// counts.
#[derive(Debug)]
pub(crate) struct InfluxDecoder {
    lines: LineReader,
    rows: RowCollector,
}

/// Where the parts of a line go.
#[derive(Debug)]
struct LineReader {
    measurement: Option<usize>,
    time: Option<usize>,
    keys: Keys,
}

impl InfluxDecoder {
    /// A decoder for the columns of `schema`, with one builder per column.
    pub(crate) fn new(options: &InfluxOptions, schema: SchemaRef, builders: Vec<Builder>) -> Self {
        let fields = schema.fields();
        let place_of = |part| fields.iter().position(|f| options.part_of(f) == part);
        let values = (0..).zip(fields.iter());
        let values = values.filter(|(_, field)| options.part_of(field) == Part::Value);
        let lines = LineReader {
            measurement: place_of(Part::Measurement),
            time: place_of(Part::Time),
            keys: Keys::new(values.map(|(at, f)| (f.name().clone(), at)).collect()),
        };
        InfluxDecoder {
            lines,
            rows: RowCollector::new(schema, builders),
        }
    }
}

impl Decoder for InfluxDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut cells = vec![InfluxCell::Null; self.rows.schema().fields().len()];
        for payload in payloads {
            match self.lines.read_record(payload, &mut cells) {
                Ok(()) => self.rows.push_row(&cells),
                Err(reason) => self.rows.push_flaw(Flaw {
                    reason,
                    detail: excerpt(payload.unwrap_or_default()),
                }),
            }
        }
        self.rows.finish()
    }
}

impl LineReader {
    fn read_record<'a>(
        &mut self,
        payload: Option<&'a [u8]>,
        cells: &mut [InfluxCell<'a>],
    ) -> Result<(), Reason> {
        let bytes = payload.ok_or("no value")?;
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        check_no_mark(text)?;
        let mut scanner = Scanner::new(text);
        if !scanner.find_line() {
            let is_empty = text.trim_ascii().is_empty();
            return Err(if is_empty {
                "empty value"
            } else {
                "nothing but comments"
            });
        }
        cells.fill(InfluxCell::Null);
        self.read_line(&mut scanner, cells)?;
        if scanner.find_line() {
            return Err("more than one line, where every line needs a record of its own");
        }
        Ok(())
    }

    /// Reads a line up to its end; the scanner must be at its first byte.
    fn read_line<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        cells: &mut [InfluxCell<'a>],
    ) -> Result<(), Reason> {
        put(cells, self.measurement, scanner.measurement()?);
        let tags = self.read_tags(scanner, cells)?;
        if !scanner.take_spaces() || scanner.is_at_line_end() {
            return Err("no fields");
        }
        self.read_fields(tags, scanner, cells)?;
        if scanner.take_spaces() && !scanner.is_at_line_end() {
            put(cells, self.time, scanner.time()?);
            scanner.take_spaces();
        }
        if scanner.is_at_line_end() {
            Ok(())
        } else {
            Err("more after the time")
        }
    }

    /// Reads the tags and says how many there are.
    fn read_tags<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        cells: &mut [InfluxCell<'a>],
    ) -> Result<usize, Reason> {
        let mut position = 0;
        while scanner.take(",") {
            let column = self.keys.read(position, scanner);
            let column = column.ok_or("a tag without a key or an equals sign")?;
            let value = scanner.tag_value();
            let value = value.ok_or("a tag without a value, or with an equals sign in it")?;
            put(cells, column, value);
            position += 1;
        }
        Ok(position)
    }

    /// Reads the fields, before which the line has `position` keys.
    fn read_fields<'a>(
        &mut self,
        mut position: usize,
        scanner: &mut Scanner<'a>,
        cells: &mut [InfluxCell<'a>],
    ) -> Result<(), Reason> {
        loop {
            let column = self.keys.read(position, scanner);
            let column = column.ok_or("a field without a key or an equals sign")?;
            put(cells, column, scanner.field_value()?);
            position += 1;
            if !scanner.take(",") {
                return Ok(());
            }
        }
    }
}

/// Puts a value into its column, if it has one.
fn put<'a>(cells: &mut [InfluxCell<'a>], column: Option<usize>, value: InfluxCell<'a>) {
    if let Some(cell) = column.and_then(|column| cells.get_mut(column)) {
        *cell = value;
    }
}
