//! What differs between the plans of two queries, in words.
//!
//! A plan is a list of steps, each before its inputs and indented by two blanks per level:
//!
//! ```text
//! Projection: symbol, volume
//!   StreamAggregate: operator=0-window-aggregate, keys=[symbol], aggregates=[sum(amount)]
//!     Filter: amount > Int64(4)
//!       TableScan: orders
//! ```
//!
//! Steps of the same kind are compared in order; of lists, only what differs is told.

use std::collections::BTreeMap;

use headwater_core::id::OperatorId;

/// What differs, a phrase for each step: `the filter (was a > 1, is a > 2)`.
pub(crate) fn changes(stored: &[String], current: &[String]) -> Vec<String> {
    let gone = without(stored, current);
    let new = without(current, stored);
    let mut kinds: Vec<&str> = Vec::new();
    for step in gone.iter().chain(&new) {
        let kind = split(step).0;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let mut changes = Vec::new();
    for kind in kinds {
        let of_kind = |steps: &[&str]| -> Vec<String> {
            let steps = steps.iter().map(|step| split(step));
            let steps = steps.filter(|(found, _)| *found == kind);
            steps.map(|(_, text)| text.to_string()).collect()
        };
        let (gone, new) = (of_kind(&gone), of_kind(&new));
        let (name, paired) = (named(kind), gone.len().min(new.len()));
        for (was, is) in gone.iter().zip(&new) {
            changes.push(pair(&name, was, is));
        }
        let only = |texts: &[String], what: &str| -> Vec<String> {
            let texts = texts.iter().skip(paired);
            texts
                .map(|text| format!("{name} ({} is {what})", quoted(text)))
                .collect()
        };
        changes.extend(only(&gone, "gone"));
        changes.extend(only(&new, "new"));
    }
    if changes.is_empty() && stored != current {
        changes.push("the order of the steps".to_string());
    }
    changes
}

/// The operators of the stored plan that compute something else in the current one, or from
/// something else.
pub(crate) fn changed_operators(stored: &[String], current: &[String]) -> Vec<OperatorId> {
    let now = operators(current);
    let before = operators(stored).into_iter();
    let changed = before.filter(|(id, steps)| now.get(id) != Some(steps));
    changed.map(|(id, _)| id).collect()
}

/// Every operator with its own step and those below it.
fn operators(plan: &[String]) -> BTreeMap<OperatorId, Vec<&str>> {
    let mut found = BTreeMap::new();
    for (at, step) in plan.iter().enumerate() {
        let Some(id) = operator_of(step) else {
            continue;
        };
        let depth = depth_of(step);
        let below = plan.iter().skip(at + 1);
        let below = below.take_while(|step| depth_of(step) > depth);
        let steps = std::iter::once(step).chain(below);
        let steps = steps.map(|step| step.get(depth..).unwrap_or_default());
        found.insert(id, steps.collect());
    }
    found
}

fn operator_of(step: &str) -> Option<OperatorId> {
    let (_, rest) = step.split_once(": operator=")?;
    let id = rest.split([',', ' ']).next()?;
    Some(OperatorId::new(id))
}

fn depth_of(step: &str) -> usize {
    step.len() - step.trim_start_matches(' ').len()
}

/// The steps of `some` that are not among `others`, each as often as it is there more.
fn without<'a>(some: &'a [String], others: &[String]) -> Vec<&'a str> {
    let mut left: Vec<&str> = others.iter().map(|step| step.trim_start()).collect();
    let mut found = Vec::new();
    for step in some.iter().map(|step| step.trim_start()) {
        match left.iter().position(|other| *other == step) {
            Some(at) => {
                left.swap_remove(at);
            }
            None => found.push(step),
        }
    }
    found
}

/// `Filter` and `a > 1` of `Filter: a > 1`.
fn split(step: &str) -> (&str, &str) {
    step.split_once(": ").unwrap_or((step, ""))
}

fn named(kind: &str) -> String {
    match kind {
        "Filter" => "the filter".to_string(),
        "Projection" => "the projection".to_string(),
        "StreamAggregate" => "the aggregation".to_string(),
        "Window" => "the window".to_string(),
        "TableScan" => "what is read".to_string(),
        other => format!("the step {other}"),
    }
}

/// What differs between two steps of a kind.
fn pair(name: &str, was: &str, is: &str) -> String {
    let (old, new) = (parts(was), parts(is));
    if old.len() == 1 && new.len() == 1 {
        return format!("{name} (was {}, is {})", quoted(was), quoted(is));
    }
    let mut told = Vec::new();
    let mut gone: Vec<&str> = old.iter().filter(|p| !new.contains(p)).copied().collect();
    let mut added: Vec<&str> = new.iter().filter(|p| !old.contains(p)).copied().collect();
    // `keys=[a]` and `keys=[a, b]` are one part that has changed.
    gone.retain(|was| {
        let Some((key, old)) = assignment(was) else {
            return true;
        };
        let same_key = |is: &&str| assignment(is).is_some_and(|(other, _)| other == key);
        let Some(at) = added.iter().position(same_key) else {
            return true;
        };
        let new = assignment(added.remove(at)).map_or("", |(_, new)| new);
        told.push(format!("{key} was {}, is {}", quoted(old), quoted(new)));
        false
    });
    told.extend(
        gone.into_iter()
            .map(|part| format!("{} is gone", quoted(part))),
    );
    told.extend(
        added
            .into_iter()
            .map(|part| format!("{} is new", quoted(part))),
    );
    if told.is_empty() {
        told.push("in another order".to_string());
    }
    format!("{name} ({})", told.join(", "))
}

/// `keys` and `[a]` of `keys=[a]`.
fn assignment(part: &str) -> Option<(&str, &str)> {
    let (key, value) = part.split_once('=')?;
    let is_word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_word.then_some((key, value))
}

/// A list cut at its commas, except at those within brackets and quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    let mut quote: Option<char> = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                found.push(text.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text.get(start..).unwrap_or_default().trim());
    found
}

/// A text as messages show it; a long one is cut.
fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 120;
    if text.chars().count() <= SHOWN_CHARS {
        return format!("`{text}`");
    }
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    format!("`{shown}…`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: &[&str]) -> Vec<String> {
        steps.iter().map(|step| (*step).to_string()).collect()
    }

    const WINDOWS: [&str; 4] = [
        "Projection: symbol, sum(amount) AS volume",
        "  StreamAggregate: operator=0-window-aggregate, window=10 s by 10 s, keys=[symbol], aggregates=[sum(amount)]",
        "    Filter: amount > Int64(4)",
        "      TableScan: orders",
    ];

    /// The plan above with one step in place of another.
    fn with(at: usize, step: &str) -> Vec<String> {
        let mut steps = plan(&WINDOWS);
        steps[at] = step.to_string();
        steps
    }

    #[test]
    fn changes_are_told_step_by_step() {
        let aggregate = |window: &str, keys: &str, aggregates: &str| {
            with(
                1,
                &format!(
                    "  StreamAggregate: operator=0-window-aggregate, window={window}, keys=[{keys}], aggregates=[{aggregates}]"
                ),
            )
        };
        let without_filter = plan(&[WINDOWS[0], WINDOWS[1], "    TableScan: orders"]);
        let cases = [
            (
                with(2, "    Filter: amount > Int64(5)"),
                "the filter (was `amount > Int64(4)`, is `amount > Int64(5)`)",
            ),
            (without_filter, "the filter (`amount > Int64(4)` is gone)"),
            (
                with(0, "Projection: symbol, sum(amount) AS volume, f(a, b) AS x"),
                "the projection (`f(a, b) AS x` is new)",
            ),
            (
                with(0, "Projection: sum(amount) AS volume, symbol"),
                "the projection (in another order)",
            ),
            (
                aggregate("20 s by 20 s", "symbol", "sum(amount)"),
                "the aggregation (window was `10 s by 10 s`, is `20 s by 20 s`)",
            ),
            (
                aggregate("10 s by 10 s", "symbol, p", "sum(amount)"),
                "the aggregation (keys was `[symbol]`, is `[symbol, p]`)",
            ),
            (
                aggregate("10 s by 10 s", "symbol", "sum(amount), max(amount)"),
                "the aggregation (aggregates was `[sum(amount)]`, is `[sum(amount), max(amount)]`)",
            ),
            (
                plan(&["Limit: 5"]),
                "the projection (`symbol, sum(amount) AS volume` is gone)",
            ),
        ];
        let stored = plan(&WINDOWS);
        for (current, expected) in cases {
            let told = changes(&stored, &current).join(", ");
            assert!(told.contains(expected), "{told} lacks {expected}");
        }
        assert_eq!(changes(&stored, &stored), Vec::<String>::new());
        let mut swapped = stored.clone();
        swapped.swap(0, 2);
        assert_eq!(changes(&stored, &swapped), ["the order of the steps"]);
    }

    #[test]
    fn an_operator_has_changed_if_anything_below_it_has() {
        let stored = plan(&WINDOWS);
        let of = |current: &[String]| changed_operators(&stored, current);
        assert_eq!(of(&stored), []);
        assert_eq!(of(&with(0, "Projection: symbol")), []);
        let aggregate = [OperatorId::new("0-window-aggregate")];
        assert_eq!(of(&with(2, "    Filter: amount > Int64(5)")), aggregate);
        assert_eq!(of(&plan(&["TableScan: orders"])), aggregate);
        // Where it stands is not what it does.
        let deeper: Vec<String> = stored.iter().map(|step| format!("  {step}")).collect();
        assert_eq!(of(&deeper), []);
    }

    #[test]
    fn lists_are_cut_outside_of_brackets_and_quotes() {
        assert_eq!(
            parts("a, f(b, c), Utf8(\"x, y\")"),
            ["a", "f(b, c)", "Utf8(\"x, y\")"]
        );
        assert_eq!(parts("keys=[a, b], x"), ["keys=[a, b]", "x"]);
    }
}
