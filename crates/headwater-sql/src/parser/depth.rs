//! How deep a statement is, before anything is made of it. What several levels of WITH and views come to
//! is known when they are bound: `check/depth.rs` in `headwater-plan`.
//!
//! `1 + 1 + 1` is `(1 + 1) + 1`: every operator of a chain is nested in the next, and so is every
//! branch of a UNION and every join of a FROM. What walks over an expression or a plan goes as deep as
//! they are, on the stack of a thread, and a stack that overflows ends the process. So the tokens
//! of a statement are counted first, which takes no stack:
//!
//! ```text
//! a + b = 1 AND (c = 2 OR d = 3) OR e   ─►  OR 1, AND 1, tighter 2, in parentheses 1 + 1  =  6
//! ```
//! The number is never smaller than the depth: of operators that bind equally tight the longest chain
//! counts, of what stands beside each other the deepest. Conditions count in another way too, because
//! the planner takes the parentheses off conditions that are connected.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;

use super::script::{is_blank, plain_word};

/// How deep a statement may be. What is deepest when it runs takes 4 KiB of stack for an operator in
/// a debug build, a fraction of it in a release build: 1.2 MiB of the 8 that threads of the command
/// have, and of the 2 that Tokio gives to threads by itself. What is deepest when it is planned takes 8
/// KiB, which the session has always (`large_stack.rs` in `headwater`).
pub(super) const DEEPEST: usize = 300;

/// How tight an operator binds, loosest first. What is tighter than AND is not told apart: there it
/// depends on the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Or,
    And,
    Tighter,
}

/// What a token is to the depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Operand,
    Operator(Binding),
    /// What makes a name of the word after it.
    Stop,
    /// `NOT`, and what else stands between an operator and its operand.
    Prefix,
    /// `UNION` and its like.
    SetOperator,
    Join,
    Select,
    From,
    /// A word that begins something beside what stood before it.
    Clause,
    Comma,
    Open(Ends),
    Close(Ends),
}

/// What ends a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    WithBracket,
    WithEnd,
}

/// The operators of an expression so far.
#[derive(Debug, Clone, Copy, Default)]
struct Chain {
    /// By how tight they bind: of the chain that goes on.
    current: [usize; 3],
    /// The longest chain of each.
    longest: [usize; 3],
    /// The deepest of its groups.
    inner: usize,
    /// All of OR and of AND, those of its groups too.
    conditions: [usize; 2],
}

/// Everything within the same brackets.
#[derive(Debug, Clone, Copy)]
struct Group {
    ends: Ends,
    chain: Chain,
    /// The deepest expression of this SELECT.
    expression: usize,
    joins: usize,
    has_select: bool,
    is_in_from: bool,
    /// The deepest SELECT.
    select: usize,
    set_operators: usize,
}

/// Refuses a statement that is deeper than [`DEEPEST`], at the operator with which it becomes so.
///
/// # Errors
/// If it is.
pub(super) fn refuse_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut groups = Groups::default();
    let mut before = Part::Clause;
    let mut word_before = None;
    for token in tokens.iter().filter(|t| !is_blank(t)) {
        let word = plain_word(&token.token);
        let part = match (part_of(&token.token, word.as_deref()), before) {
            // No clause begins after an operator: there its word is a name.
            (
                Part::SetOperator | Part::Join | Part::Select | Part::From | Part::Clause,
                Part::Operator(_),
            ) => Part::Operand,
            (Part::Close(Ends::WithEnd), Part::Operator(_) | Part::Clause) => Part::Operand,
            (Part::From, _) if word_before.as_deref() == Some("DISTINCT") => Part::Prefix,
            // All columns, and not a product.
            (Part::Operator(_), Part::Select | Part::Clause | Part::Comma | Part::Open(_))
                if token.token == Token::Mul =>
            {
                Part::Operand
            }
            (_, Part::Stop) => Part::Operand,
            (part, _) => part,
        };
        groups.add(part);
        if groups.depth() > DEEPEST {
            return Err(too_deep(part, token));
        }
        if token.token == Token::LBracket {
            groups.add(Part::Open(Ends::WithBracket));
        }
        if part != Part::Prefix {
            before = part;
        }
        word_before = word;
    }
    Ok(())
}

/// The group that is being read, and those around it.
#[derive(Debug)]
struct Groups {
    outer: Vec<Group>,
    group: Group,
    /// How deep this group lies in those around it.
    around: usize,
}

impl Default for Groups {
    fn default() -> Self {
        Groups {
            outer: vec![],
            group: Group::new(Ends::WithBracket),
            around: 0,
        }
    }
}

impl Groups {
    fn depth(&self) -> usize {
        self.around + self.group.depth()
    }

    fn add(&mut self, part: Part) {
        let group = &mut self.group;
        match part {
            Part::Operand | Part::Stop | Part::Prefix => {}
            Part::Operator(binding) => group.chain.add(binding),
            Part::SetOperator => group.end_select(),
            Part::Join => {
                group.end_expression();
                group.joins += 1;
            }
            Part::From => {
                group.end_expression();
                // There is another FROM in the declaration of a column.
                group.is_in_from = group.has_select;
            }
            Part::Select => {
                group.end_expression();
                (group.has_select, group.is_in_from) = (true, false);
            }
            Part::Clause => {
                group.end_expression();
                group.is_in_from = false;
            }
            Part::Comma => {
                group.end_expression();
                group.joins += usize::from(group.is_in_from);
            }
            Part::Open(ends) => {
                self.around += group.around_others();
                let outer = std::mem::replace(group, Group::new(ends));
                self.outer.push(outer);
            }
            Part::Close(ends) => self.close(ends),
        }
    }

    /// A bracket ends every CASE within it; END, which may be a name, ends a CASE only.
    fn close(&mut self, ends: Ends) {
        if ends == Ends::WithEnd && self.group.ends != ends {
            return;
        }
        while let Some(mut outer) = self.outer.pop() {
            self.around -= outer.around_others();
            let (closed, depth) = (self.group.ends, self.group.depth());
            let conditions = self.group.chain.conditions;
            outer.chain.add_group(depth, conditions);
            self.group = outer;
            if closed == ends {
                return;
            }
        }
    }
}

impl Group {
    fn new(ends: Ends) -> Self {
        Group {
            ends,
            chain: Chain::default(),
            expression: 0,
            joins: 0,
            has_select: false,
            is_in_from: false,
            select: 0,
            set_operators: 0,
        }
    }

    fn depth(&self) -> usize {
        let select = self.expression.max(self.chain.depth()) + self.joins;
        self.select.max(select) + self.set_operators
    }

    /// How deep what is nested in it lies at least.
    fn around_others(&self) -> usize {
        self.chain.around_others() + self.joins + self.set_operators
    }

    fn end_expression(&mut self) {
        self.expression = self.expression.max(self.chain.depth());
        self.chain = Chain::default();
    }

    fn end_select(&mut self) {
        self.end_expression();
        self.select = self.select.max(self.expression + self.joins);
        (self.expression, self.joins, self.is_in_from) = (0, 0, false);
        self.set_operators += 1;
    }
}

impl Chain {
    fn add(&mut self, binding: Binding) {
        let at = binding as usize;
        for (tightness, current) in self.current.iter_mut().enumerate().skip(at) {
            *current = if tightness == at { *current + 1 } else { 0 };
        }
        for (longest, current) in self.longest.iter_mut().zip(self.current) {
            *longest = current.max(*longest);
        }
        if let Some(conditions) = self.conditions.get_mut(at) {
            *conditions += 1;
        }
    }

    fn add_group(&mut self, depth: usize, conditions: [usize; 2]) {
        self.inner = self.inner.max(depth);
        for (all, more) in self.conditions.iter_mut().zip(conditions) {
            *all += more;
        }
    }

    fn around_others(&self) -> usize {
        self.longest.iter().sum()
    }

    fn depth(&self) -> usize {
        let nested = self.around_others() + self.inner;
        self.conditions.iter().fold(nested, |a, b| a.max(*b))
    }
}

fn part_of(token: &Token, word: Option<&str>) -> Part {
    match token {
        Token::Word(_) => word.map_or(Part::Operand, part_of_word),
        Token::Number(..) | Token::Placeholder(_) | Token::Char(_) => Part::Operand,
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::SemiColon
        | Token::EOF => Part::Operand,
        Token::Comma => Part::Comma,
        Token::LParen | Token::LBrace => Part::Open(Ends::WithBracket),
        Token::RParen | Token::RBrace | Token::RBracket => Part::Close(Ends::WithBracket),
        Token::Period => Part::Stop,
        _ => Part::Operator(Binding::Tighter),
    }
}

fn part_of_word(word: &str) -> Part {
    match word {
        "OR" => Part::Operator(Binding::Or),
        "AND" => Part::Operator(Binding::And),
        "AT" | "BETWEEN" | "COLLATE" | "DIV" | "GLOB" | "ILIKE" | "IN" | "IS" | "ISNULL"
        | "LIKE" | "MATCH" | "MEMBER" | "NOTNULL" | "OPERATOR" | "OVERLAPS" | "REGEXP"
        | "RLIKE" | "SIMILAR" | "XOR" => Part::Operator(Binding::Tighter),
        "NOT" => Part::Prefix,
        "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" => Part::SetOperator,
        "JOIN" => Part::Join,
        "FROM" => Part::From,
        "SELECT" => Part::Select,
        "WHERE" | "BY" | "HAVING" | "QUALIFY" | "VALUES" | "ON" | "USING" | "WHEN" | "THEN"
        | "ELSE" => Part::Clause,
        "CASE" => Part::Open(Ends::WithEnd),
        "END" => Part::Close(Ends::WithEnd),
        _ => Part::Operand,
    }
}

fn too_deep(part: Part, token: &TokenWithSpan) -> Error {
    let hint = match part {
        Part::Operator(Binding::Or) => {
            "Write `column IN (…)`, which may have any number of values, or join a table of the \
             values."
        }
        Part::Operator(Binding::And) => {
            "Write `column NOT IN (…)`, which may have any number of values, or join a table of the \
             values."
        }
        Part::SetOperator => "Put parts of them into parentheses, or into views.",
        Part::Join | Part::Comma => {
            "Join parts of them in a query of its own, and write that to a topic or a table."
        }
        _ => "Put parts of it into parentheses: `(a + b) + (c + d)` is less deep.",
    };
    Error::unsupported(format!("more than {DEEPEST} operators in a row"))
        .with_detail("Each is nested in the next, and deeper than this no statement is planned.")
        .with_hint(hint)
        .with_span(Some(span_from_tokens(token.span)))
}

#[cfg(test)]
mod tests;
