//! A plan as text that is kept in the checkpoint: what tells whether a query is still the same, and
//! what has changed in it if it is not.

use datafusion::logical_expr::LogicalPlan;

/// The steps of a plan, each before its inputs and indented by two blanks per level.
pub(crate) fn steps(plan: &LogicalPlan) -> Vec<String> {
    let mut found = Vec::new();
    collect(plan, 0, &mut found);
    found
}

fn collect(plan: &LogicalPlan, depth: usize, found: &mut Vec<String>) {
    found.push(format!("{}{}", "  ".repeat(depth), plan.display()));
    for input in plan.inputs() {
        collect(input, depth + 1, found);
    }
}

/// FNV-1a: the same on every machine and in every version, which std's hasher is not.
pub(crate) fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}
