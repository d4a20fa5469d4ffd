//! The SQL dialect: DataFusion's generic dialect and three words more.
//!
//! sqlparser asks its dialect some hundred and thirty questions. All of them are passed on to
//! [`GenericDialect`], so that a statement DataFusion reads is read the same way here, but for `->` and
//! `->>`, which bind as tightly as `[…]`: `f(x -> x * 2)` is no function of `x`. On top:
//! `TABLE name` is an argument of a function, `EMIT …` and `LATE ROWS INTO …` after a query begin a
//! clause instead of naming an alias, `.*` may follow any expression, and a type of maps is
//! `MAP<k, v>`.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableFactor,
    TableWithJoins, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

/// [`GenericDialect`] with headwater's clauses.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HeadwaterDialect;

/// Passes questions with a yes or no answer on to the generic dialect.
macro_rules! same_as_generic {
    ($($question:ident),+ $(,)?) => {
        $( fn $question(&self) -> bool { GenericDialect.$question() } )+
    };
}

impl Dialect for HeadwaterDialect {
    // sqlparser's own tests for the generic dialect must hold for this one too.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        GenericDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        GenericDialect.is_identifier_part(ch)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        is_table_argument(parser).then(|| parse_table_argument(parser))
    }

    fn is_select_item_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        let is_alias = GenericDialect.is_select_item_alias(explicit, kw, parser);
        is_alias && (explicit || !begins_clause(parser))
    }

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        let is_alias = GenericDialect.is_table_factor_alias(explicit, kw, parser);
        is_alias && (explicit || !begins_clause(parser))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        // They look into a value, and so bind as `value['key']` does. The generic dialect lets them
        // bind weaker than `=` and `||`: `j ->> 'a' || 'z'` would look for the key `az`.
        match parser.peek_token_ref().token {
            Token::Arrow | Token::LongArrow => Some(Ok(self.prec_value(Precedence::DoubleColon))),
            _ => None,
        }
    }

    /// `from_json(value, …).*`
    fn supports_select_expr_star(&self) -> bool {
        true
    }

    same_as_generic! {
        supports_string_literal_backslash_escape,
        ignores_wildcard_escapes,
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_window_clause_named_window_reference,
        supports_within_after_array_aggregation,
        supports_partition_by_after_order_by,
        supports_array_join_syntax,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_outer_join_operator,
        supports_cross_join_constraint,
        supports_connect_by,
        supports_execute_immediate,
        supports_match_recognize,
        supports_in_empty_list,
        supports_start_transaction_modifier,
        supports_end_transaction_modifier,
        supports_named_fn_args_with_eq_operator,
        supports_named_fn_args_with_colon_operator,
        supports_named_fn_args_with_assignment_operator,
        supports_named_fn_args_with_rarrow_operator,
        supports_named_fn_args_with_expr_name,
        supports_numeric_prefix,
        supports_numeric_literal_underscores,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        support_map_literal_syntax,
        supports_lambda_functions,
        supports_parenthesized_set_variables,
        supports_comma_separated_set_assignments,
        supports_update_order_by,
        supports_select_wildcard_except,
        convert_type_before_value,
        supports_triple_quoted_string,
        supports_trailing_commas,
        supports_limit_comma,
        supports_string_literal_concatenation,
        supports_string_literal_concatenation_with_newline,
        supports_projection_trailing_commas,
        supports_from_trailing_commas,
        supports_column_definition_trailing_commas,
        supports_object_name_double_dot_notation,
        supports_struct_literal,
        supports_empty_projections,
        supports_from_first_select,
        supports_from_first_insert,
        supports_pipe_operator,
        supports_user_host_grantee,
        supports_match_against,
        supports_select_wildcard_exclude,
        supports_select_exclude,
        supports_create_table_multi_schema_info_sources,
        supports_select_modifiers,
        describe_requires_table_keyword,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_extract_comma_syntax,
        supports_subquery_as_function_arg,
        supports_create_view_comment_syntax,
        supports_array_typedef_without_element_type,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_dollar_placeholder,
        supports_dollar_as_money_prefix,
        supports_create_index_with_clause,
        require_interval_qualifier,
        supports_explain_with_utility_options,
        supports_asc_desc_in_column_definition,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_nested_comments,
        supports_multiline_comment_hints,
        supports_eq_alias_assignment,
        supports_try_convert,
        supports_bang_not_operator,
        supports_listen_notify,
        supports_load_data,
        supports_load_extension,
        supports_top_before_distinct,
        supports_boolean_literals,
        supports_show_like_before_in,
        supports_comment_on,
        supports_create_table_select,
        supports_partiql,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_table_sample_before_alias,
        supports_insert_set,
        supports_insert_table_function,
        supports_insert_table_query,
        supports_insert_format,
        supports_insert_table_alias,
        supports_set_stmt_without_operator,
        supports_table_versioning,
        supports_string_escape_constant,
        supports_table_hints,
        requires_single_line_comment_whitespace,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_order_by_all,
        supports_set_names,
        supports_space_separated_column_options,
        supports_alter_column_type_using,
        supports_comma_separated_drop_column_list,
        supports_notnull_operator,
        supports_data_type_signed_suffix,
        supports_interval_options,
        supports_create_table_like_parenthesized,
        supports_semantic_view_table_factor,
        supports_quote_delimited_string,
        supports_comment_optimizer_hint,
        supports_double_ampersand_operator,
        supports_binary_kw_as_cast,
        supports_select_wildcard_replace,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_select_wildcard_with_alias,
        supports_optimize_table,
        supports_install,
        supports_detach,
        supports_prewhere,
        supports_with_fill,
        supports_limit_by,
        supports_interpolate,
        supports_settings,
        supports_select_format,
        supports_comma_separated_trim,
        supports_cte_without_as,
        supports_select_item_multi_column_alias,
        supports_xml_expressions,
        supports_create_table_using,
        supports_long_type_as_bigint,
    }

    // `MAP<k, v>` as a type, as Spark and Flink write it; see `parser/map_type.rs` for the other one.
    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        true
    }
}

/// Whether the word just read begins `EMIT …` or `LATE ROWS INTO …`.
///
/// `EMIT` is no keyword, so that it stays a good name for a column or a table: what follows
/// decides. An alias is never followed by another plain word, so `EMIT` and a misspelt mode is a
/// clause too, and the message can then speak of modes.
fn begins_clause(parser: &Parser) -> bool {
    let Some(word) = plain_word(&parser.get_current_token().token) else {
        return false;
    };
    let [first, second] = parser.peek_tokens_ref::<2>();
    let first = plain_word(&first.token);
    let second = plain_word(&second.token).map(|w| w.value.to_ascii_uppercase());
    if word.value.eq_ignore_ascii_case("late") {
        return first.is_some_and(|w| w.keyword == Keyword::ROWS)
            && second.as_deref() == Some("INTO");
    }
    if !word.value.eq_ignore_ascii_case("emit") {
        return false;
    }
    first.is_some_and(|w| match w.value.to_ascii_uppercase().as_str() {
        "FINAL" | "CHANGES" | "COMPLETE" | "PER" => true,
        "ON" => matches!(second.as_deref(), Some("WINDOW" | "UPDATE")),
        _ => w.keyword == Keyword::NoKeyword,
    })
}

fn plain_word(token: &Token) -> Option<&Word> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

/// Whether the parser stands before `TABLE name` as an argument of a function, as in
/// `TUMBLE(TABLE orders, …)`. `table` alone stays the name of a column.
fn is_table_argument(parser: &Parser) -> bool {
    let [table, name] = parser.peek_tokens_ref::<2>();
    let is_table = plain_word(&table.token).is_some_and(|w| w.keyword == Keyword::TABLE);
    is_table && matches!(name.token, Token::Word(_)) && is_inside_call(parser)
}

/// Whether the nearest open parenthesis before the next token belongs to a function's name.
fn is_inside_call(parser: &Parser) -> bool {
    let mut closed = 0_usize;
    let mut index = parser.index();
    while index > 0 {
        index -= 1;
        match &parser.token_at(index).token {
            Token::RParen => closed += 1,
            Token::LParen if closed > 0 => closed -= 1,
            Token::LParen => {
                return index > 0 && matches!(parser.token_at(index - 1).token, Token::Word(_));
            }
            _ => {}
        }
    }
    false
}

/// Reads `TABLE name [PARTITION BY …]` as the subquery `SELECT * FROM name [DISTRIBUTE BY …]`.
///
/// As a subquery the table is seen by DataFusion's search for table references, which runs
/// before planning and does not look at the names of columns.
fn parse_table_argument(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.expect_keyword(Keyword::TABLE)?;
    let name = parser.parse_object_name(true)?;
    let mut partition_by = Vec::new();
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        if parser.consume_token(&Token::LParen) {
            partition_by = parser.parse_comma_separated(Parser::parse_expr)?;
            parser.expect_token(&Token::RParen)?;
        } else {
            partition_by.push(parser.parse_expr()?);
        }
    }
    Ok(Expr::Subquery(Box::new(select_all_from(
        name,
        partition_by,
    ))))
}

/// `SELECT * FROM name [DISTRIBUTE BY …]`.
pub(crate) fn select_all_from(name: ObjectName, distribute_by: Vec<Expr>) -> Query {
    let relation = TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    };
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())],
        exclude: None,
        into: None,
        from: vec![TableWithJoins {
            relation,
            joins: vec![],
        }],
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by,
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

#[cfg(test)]
mod tests;
