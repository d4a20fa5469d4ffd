//! DataFusion's messages in headwater's words: the object's kind and quoted name first, and what
//! DataFusion puts into the same sentence as a hint taken out.

use crate::options::nearest;
use crate::other_names::other_name;

/// A message and the hint that was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reworded {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What DataFusion writes in front of its messages, by the kind of error.
const PREFIXES: [&str; 6] = [
    "Error during planning: ",
    "Schema error: ",
    "SQL error: ",
    "Arrow error: ",
    "This feature is not implemented: ",
    "Execution error: ",
];

/// A call whose arguments are of the wrong types is a mistake of the query, although DataFusion
/// calls it an internal error.
pub(crate) fn is_wrong_argument(text: &str) -> bool {
    text.contains("failed to match any signature")
}

/// Rewords a message; one that is not known loses its prefix.
pub(crate) fn reword(text: &str) -> Reworded {
    // Around it DataFusion names the step of its planning that failed.
    let text = text
        .rsplit_once("\ncaused by\n")
        .map_or(text, |(_, root)| root);
    let text = PREFIXES.iter().fold(text, |text, prefix| {
        text.strip_prefix(prefix).unwrap_or(text)
    });
    if let Some(exhausted) = exhausted(text) {
        return exhausted;
    }
    if is_wrong_argument(text) {
        return plain(wrong_argument(text));
    }
    if let Some(twice) = named_twice(text) {
        return twice;
    }
    if let Some(wrong) = wrong_json_argument(text) {
        return wrong;
    }
    if text.contains("must appear in the GROUP BY clause") {
        let column = between(text, "column \"", "\"").unwrap_or("?");
        return plain(format!(
            "column \"{column}\" must be in GROUP BY or in an aggregate function"
        ));
    }
    if let Some(name) = between(text, "No field named ", ".")
        && text.starts_with("No field named ")
    {
        return missing("column", qualified(text, name), text);
    }
    if let Some(name) = between(text, "Invalid function '", "'") {
        return missing("function", name, text);
    }
    let table =
        between(text, "table '", "' not found").or_else(|| between(text, "No table named '", "'"));
    if let Some(name) = table {
        let name = name.strip_prefix("datafusion.public.").unwrap_or(name);
        return missing("table", name, text);
    }
    if text == "Divide by zero error" {
        return plain("division by zero".to_string());
    }
    let text = text.strip_prefix("Cast error: ").unwrap_or(text);
    plain(lower_first(text.lines().next().unwrap_or_default()))
}

/// The memory that was asked for is more than there is left.
fn exhausted(text: &str) -> Option<Reworded> {
    let text = text.strip_prefix("Resources exhausted: ")?;
    // Who holds most of it is written in front of what failed.
    let failed = text
        .rsplit_once("Error: ")
        .map_or(text, |(_, failed)| failed);
    let wanted = between(failed, "Failed to allocate additional ", " for ");
    let left = between(failed, " allocated for this reservation - ", " remain");
    let message = match (wanted, between(failed, " for ", " with "), left) {
        (Some(wanted), Some(user), Some(left)) => {
            format!("no memory left: {user} needs {wanted} more, and {left} remain")
        }
        _ => lower_first(failed.lines().next().unwrap_or_default()),
    };
    let hint = "Read fewer records at a time with \"max.records.per.epoch\" of the source, keep less \
                state with windows or \"state.ttl\", or raise 'memory-limit'.";
    // It is also said of the room for temporary files.
    let is_memory = wanted.is_some() || failed.contains("'memory-limit'");
    Some(Reworded {
        message,
        hint: is_memory.then(|| hint.to_string()),
    })
}

/// Two columns of a result have the same name: that of a CAST is the name of what it casts.
fn named_twice(text: &str) -> Option<Reworded> {
    let message = match text.split_once("require unique expression names but the expression \"") {
        Some((_, names)) => {
            let (first, _) = names.split_once("\" at position ")?;
            let second = between(names, " and \"", "\" at position ")?;
            format!("two columns have the same name: {first} and {second}")
        }
        None => {
            let name = text.strip_prefix("Schema contains qualified field name ")?;
            let name = between(name, "unqualified field name ", " which would be ambiguous")?;
            format!("two columns have the name {name}")
        }
    };
    Some(Reworded {
        message,
        hint: Some("Give one of them another name: write AS and the name after it.".to_string()),
    })
}

fn plain(message: String) -> Reworded {
    Reworded {
        message,
        hint: None,
    }
}

fn missing(kind: &str, name: &str, text: &str) -> Reworded {
    let name = name.trim_matches('"');
    let meant = between(text, "Did you mean '", "'?");
    // DataFusion names the nearest function however far it is.
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_string();
    let is_near = |meant: &&str| nearest(&last(name), [last(meant).as_str()].into_iter()).is_some();
    let meant = meant.filter(is_near);
    let fields = between(text, "Valid fields are ", ".\n").or_else(|| {
        let rest = text.split_once("Valid fields are ")?.1;
        Some(rest.trim_end_matches('.'))
    });
    let elsewhere = other_name(name).filter(|_| kind == "function");
    let hint = match (meant, fields) {
        _ if elsewhere.is_some() => elsewhere.map(str::to_string),
        (Some(meant), _) => Some(format!("Did you mean \"{meant}\"?")),
        (None, Some(fields)) => Some(format!("The columns are {fields}.")),
        (None, None) => None,
    };
    Reworded {
        message: format!("{kind} \"{name}\" does not exist"),
        hint,
    }
}

/// The name in `No field named a.b. Valid …`: a stop inside it is followed by no blank.
fn qualified<'a>(text: &'a str, first: &'a str) -> &'a str {
    let Some(rest) = text.strip_prefix("No field named ") else {
        return first;
    };
    let end = rest.find(". ").or_else(|| rest.find(".\n"));
    let end = end.unwrap_or_else(|| rest.trim_end_matches('.').len());
    rest.get(..end).unwrap_or(first)
}

fn wrong_argument(text: &str) -> String {
    let function = between(text, "Function '", "'").unwrap_or("?");
    match between(text, "but received ", " (DataType") {
        Some(found) => format!("function \"{function}\" does not take an argument of type {found}"),
        None => format!("function \"{function}\" does not take arguments of these types"),
    }
}

/// What the functions over JSON say of an argument.
fn wrong_json_argument(text: &str) -> Option<Reworded> {
    let rest = text.strip_prefix("Unexpected argument type to '")?;
    let function = rest.split_once('\'')?.0;
    let place = between(rest, "at position ", ",")?;
    let found = rest.split_once(", got ")?.1.trim_end_matches('.');
    let found = found.split('(').next().unwrap_or_default();
    let (expected, hint) = match place {
        "1" if found.contains("Binary") => ("text", "Write decode(column, 'utf-8') in its place."),
        "1" if found.contains("Struct") => ("text", "Write column['field']."),
        "1" => ("text", "Give it a column that is VARCHAR."),
        _ => (
            "a text or a BIGINT",
            "Keys are texts, and places in arrays are numbers from 0.",
        ),
    };
    Some(Reworded {
        message: format!(
            "function \"{function}\" takes {expected} as argument {place}, not a value of type {found}"
        ),
        hint: Some(hint.to_string()),
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

/// Lowers the first letter of a foreign message unless the first word is an abbreviation.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(a), Some(b)) if a.is_uppercase() && b.is_lowercase() => {
            a.to_lowercase().collect::<String>() + text.get(a.len_utf8()..).unwrap_or_default()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_of_a_name_are_told_apart_by_the_user() {
        let cases = [
            (
                "Error during planning: Projections require unique expression names but the \
                 expression \"CAST(t.ts AS Date32)\" at position 0 and \"t.ts\" at position 1 have \
                 the same name. Consider aliasing (\"AS\") one of them.",
                "two columns have the same name: CAST(t.ts AS Date32) and t.ts",
            ),
            (
                "Schema error: Schema contains qualified field name t.ts and unqualified field \
                 name ts which would be ambiguous",
                "two columns have the name ts",
            ),
        ];
        for (text, message) in cases {
            let reworded = reword(text);
            assert_eq!(reworded.message, message);
            let hint = "Give one of them another name: write AS and the name after it.";
            assert_eq!(reworded.hint.as_deref(), Some(hint));
        }
    }

    #[test]
    fn arguments_of_functions_over_json_are_reworded() {
        let reworded = reword(
            "Error during planning: Unexpected argument type to 'json_get' at position 1, \
             expected a string, got Struct(\"a\": Int32).",
        );
        assert_eq!(
            reworded.message,
            "function \"json_get\" takes text as argument 1, not a value of type Struct"
        );
        assert_eq!(reworded.hint.as_deref(), Some("Write column['field']."));
    }

    #[test]
    fn messages_are_reworded() {
        let cases = [
            (
                "Error during planning: table 'datafusion.public.tt' not found",
                "table \"tt\" does not exist",
                None,
            ),
            (
                "Schema error: No field named kk. Did you mean 't.k'?.",
                "column \"kk\" does not exist",
                Some("Did you mean \"t.k\"?"),
            ),
            (
                "Schema error: No field named a.kk. Valid fields are t.v, t.w.",
                "column \"a.kk\" does not exist",
                Some("The columns are t.v, t.w."),
            ),
            (
                "Schema error: No field named v.",
                "column \"v\" does not exist",
                None,
            ),
            (
                "Error during planning: Invalid function 'cuont'.\nDid you mean 'count'?",
                "function \"cuont\" does not exist",
                Some("Did you mean \"count\"?"),
            ),
            (
                "Error during planning: Invalid function 'nofunc'.\nDid you mean 'nvl'?",
                "function \"nofunc\" does not exist",
                None,
            ),
            (
                "Internal error: Function 'sum' failed to match any signature, errors: Error \
                 during planning: Function 'sum' requires Decimal, but received String \
                 (DataType: Utf8View).",
                "function \"sum\" does not take an argument of type String",
                None,
            ),
            (
                "Error during planning: Invalid function 'listagg'.\nDid you mean 'last_value'?",
                "function \"listagg\" does not exist",
                Some("Write string_agg(x, ',')."),
            ),
            (
                "Resources exhausted: Failed to allocate additional 70.0 B for late rows with 0.0 B \
                 already allocated for this reservation - 40.0 B remain available for the total \
                 memory pool: fair(pool_size: 100.0 B)",
                "no memory left: late rows needs 70.0 B more, and 40.0 B remain",
                Some(
                    "Read fewer records at a time with \"max.records.per.epoch\" of the source, keep \
                     less state with windows or \"state.ttl\", or raise 'memory-limit'.",
                ),
            ),
            (
                "Arrow error: Divide by zero error",
                "division by zero",
                None,
            ),
            (
                "Arrow error: Cast error: Cannot cast string 'a' to value of Int64 type",
                "cannot cast string 'a' to value of Int64 type",
                None,
            ),
            ("Cannot cast", "cannot cast", None),
        ];
        for (text, message, hint) in cases {
            let reworded = reword(text);
            assert_eq!(reworded.message, message, "{text}");
            assert_eq!(reworded.hint.as_deref(), hint, "{text}");
        }
    }
}
