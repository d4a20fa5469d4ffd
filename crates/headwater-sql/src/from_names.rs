//! The names that tables have in a SELECT.

use datafusion::sql::sqlparser::ast::{Ident, Select, TableFactor, TableWithJoins};

use crate::ast::Name;

/// Whether a name is that of a table in FROM.
pub(crate) fn is_table(ident: &Ident, select: &Select) -> bool {
    let name = Name::from_ident(ident).value;
    select.from.iter().any(|from| has_table(from, &name))
}

fn has_table(from: &TableWithJoins, name: &str) -> bool {
    let joined = from.joins.iter().map(|join| &join.relation);
    std::iter::once(&from.relation).chain(joined).any(|factor| {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => alias.as_ref(),
            _ => None,
        };
        match (alias, factor) {
            (Some(alias), _) => Name::from_ident(&alias.name).value == name,
            (None, TableFactor::Table { name: table, .. }) => {
                let last = table.0.last().and_then(|part| part.as_ident());
                last.is_some_and(|last| Name::from_ident(last).value == name)
            }
            (
                None,
                TableFactor::NestedJoin {
                    table_with_joins, ..
                },
            ) => has_table(table_with_joins, name),
            (None, _) => false,
        }
    })
}
