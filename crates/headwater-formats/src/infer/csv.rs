//! CSV: a column for every field of a line.

use std::collections::HashSet;

use arrow::array::BinaryArray;
use arrow::datatypes::DataType;
use headwater_core::{Error, Result};

use super::seen::{Mixed, Seen};
use super::{Found, InferredColumn};
use crate::csv::{CsvOptions, Header, NullRule, header_names, split_line};

/// Columns of text, as many as most lines have fields: of two numbers that are as common, the one
/// that comes first.
pub(super) fn text_columns(options: &CsvOptions, payloads: &BinaryArray) -> Vec<InferredColumn> {
    let mut counted: Vec<(usize, usize)> = Vec::new();
    for line in payloads
        .iter()
        .flatten()
        .filter_map(|p| std::str::from_utf8(p).ok())
    {
        let fields = split_line(line, options.dialect, |_, _| {});
        let Ok(fields) = fields else { continue };
        if line.trim_ascii().is_empty() {
            continue;
        }
        match counted.iter_mut().find(|(known, _)| *known == fields) {
            Some((_, lines)) => *lines += 1,
            None => counted.push((fields, 1)),
        }
    }
    let most = counted.iter().rev().max_by_key(|(_, lines)| *lines);
    let fields = most.map_or(1, |(fields, _)| *fields);
    let names = (1..=fields).map(numbered);
    names
        .map(|name| InferredColumn::new(name, DataType::Utf8View))
        .collect()
}

fn numbered(position: usize) -> String {
    format!("c{position}")
}

/// Finds the columns of lines that have the same number of fields. Their names are those of the
/// header, in lower case as long as they stay different, or `c1`, `c2` and so on.
///
/// # Errors
/// If the header must name the columns and cannot.
pub(super) fn infer(
    options: &CsvOptions,
    owner: &str,
    records: &[&[u8]],
    header: Option<&[u8]>,
) -> Result<Found> {
    let lines = records.iter().filter_map(|r| std::str::from_utf8(r).ok());
    let lines: Vec<&str> = lines.collect();
    if let Some(header) = header.filter(|_| options.header != Header::None) {
        let seen = seen_in(options, &lines);
        let names = named(options, owner, header, seen.len())?;
        return Ok(typed(names, &seen));
    }
    if let Some(found) = below_names(options, owner, &lines) {
        return Ok(found);
    }
    let seen = seen_in(options, &lines);
    Ok(typed((1..=seen.len()).map(numbered).collect(), &seen))
}

/// What is seen of the fields of lines, by place.
fn seen_in(options: &CsvOptions, lines: &[&str]) -> Vec<Seen> {
    let not_text = NullRule::of(&DataType::Int64, options.null_value.as_ref());
    let mut seen: Vec<Seen> = Vec::new();
    for line in lines {
        // These lines were split before.
        let _ = split_line(line, options.dialect, |position, field| {
            if position >= seen.len() {
                seen.resize_with(position + 1, Seen::default);
            }
            if let Some(seen) = seen.get_mut(position).filter(|_| !not_text.is_null(&field)) {
                seen.add_field(&field.text, &options.timestamps);
            }
        });
    }
    seen
}

fn typed(names: Vec<String>, seen: &[Seen]) -> Found {
    let mut found = Found::default();
    for (name, seen) in names.into_iter().zip(seen) {
        match seen.data_type(&name, Mixed::AreTexts) {
            Ok((data_type, note)) => found.columns.push(InferredColumn {
                note,
                ..InferredColumn::new(name, data_type)
            }),
            // Fields keep their places, so that one that nothing holds is a text.
            Err(_) => found
                .columns
                .push(InferredColumn::new(name, DataType::Utf8View)),
        }
    }
    found
}

/// The columns under a line of names, if one of the lines is such: a file was written to a topic
/// line by line, or nobody said that it has one. Its fields are names, and one of the columns has
/// numbers, times or truths in all other lines.
fn below_names(options: &CsvOptions, owner: &str, lines: &[&str]) -> Option<Found> {
    let are_names = |line: &&str| {
        let names = header_names(line, options.dialect);
        names.len() > 1 && names.iter().all(|name| is_name(name))
    };
    let line = lines.iter().copied().find(are_names)?;
    let others = lines.iter().copied().filter(|other| *other != line);
    let seen = seen_in(options, &others.collect::<Vec<_>>());
    let names = named(options, owner, line.as_bytes(), seen.len()).ok()?;
    let mut found = typed(names, &seen);
    let is_text = |column: &InferredColumn| column.data_type == DataType::Utf8View;
    if found.columns.iter().all(is_text) {
        return None;
    }
    found.notes.push(format!(
        "the line of names \"{line}\" is no record: bad_data = 'drop' leaves it out, and of files \
         csv.header = 'true'"
    ));
    Some(found)
}

/// Whether a field may be the name of a column, and is nothing else.
fn is_name(field: &str) -> bool {
    let is_first = |c: char| c.is_alphabetic() || c == '_';
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let values = ["true", "false", "null", "nan", "inf", "infinity"];
    field.starts_with(is_first)
        && field.chars().all(is_inside)
        && !values.iter().any(|value| field.eq_ignore_ascii_case(value))
}

fn named(options: &CsvOptions, owner: &str, header: &[u8], fields: usize) -> Result<Vec<String>> {
    let header = String::from_utf8_lossy(header);
    let names = header_names(&header, options.dialect);
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let can_name = |names: &[String]| {
        let distinct: HashSet<&String> = names.iter().collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains(char::is_control);
        names.len() == fields && distinct.len() == fields && names.iter().all(is_name)
    };
    if can_name(&lower) {
        return Ok(lower);
    }
    if can_name(&names) {
        return Ok(names);
    }
    if options.header == Header::Skipped {
        return Ok((1..=fields).map(numbered).collect());
    }
    Err(Error::configuration(format!(
        "the columns of {owner} cannot be inferred: the header does not name {fields} columns"
    ))
    .with_detail(format!("It says {}.", names.join(", ").escape_debug()))
    .with_hint("Set 'csv.header' = 'skip' to pass over it, or declare the columns."))
}
