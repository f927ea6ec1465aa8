//! The little language of `input.where`: comparisons of columns with literals, joined by `and`, `or`, `not` and brackets.
//!
//! ```text
//! status = 'success' and (width >= 256 or height >= 256) and not punsafe > 0.1 and url is not null
//! ```
//!
//! As in SQL, a comparison with null is unknown, and a row is selected only when the whole is true.

use arrow::datatypes::DataType;
use std::{collections::BTreeSet, fmt, iter::Peekable, str::Chars};

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    Compare { column: String, operator: Operator, literal: Literal },
    IsNull { column: String, negated: bool },
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
    Not(Box<Predicate>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Number(f64),
    Text(String),
    Bool(bool),
}

/// What is wrong with a condition, and where.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("input.where: expected {expected} at `{found}`; a condition reads like: status = 'success' and width >= 256")]
pub struct PredicateError {
    expected: &'static str,
    found: String,
}

impl Predicate {
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let predicate = parser.or()?;
        parser.end()?;
        Ok(predicate)
    }

    /// The columns it looks at.
    pub fn columns(&self) -> BTreeSet<&str> {
        self.uses().into_iter().map(|(column, _)| column).collect()
    }

    /// The columns it looks at, each time with what it is compared with; `None` for a question after null.
    pub fn uses(&self) -> Vec<(&str, Option<&Literal>)> {
        match self {
            Self::Compare { column, literal, .. } => vec![(column, Some(literal))],
            Self::IsNull { column, .. } => vec![(column, None)],
            Self::And(a, b) | Self::Or(a, b) => [a.uses(), b.uses()].concat(),
            Self::Not(a) => a.uses(),
        }
    }
}

impl Literal {
    /// Whether a column of this type can be compared with it.
    pub fn fits(&self, column: &DataType) -> bool {
        match self {
            Self::Number(_) => column.is_numeric(),
            Self::Text(_) => column.is_string(),
            Self::Bool(_) => column == &DataType::Boolean,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => write!(out, "'{}'", text.replace('\'', "''")),
            Self::Bool(value) => write!(out, "{value}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A bare word: keyword or column.
    Word(String),
    /// A "quoted" column.
    Column(String),
    Text(String),
    Number(f64),
    Operator(Operator),
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, PredicateError> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(&c) = chars.peek() {
        let token = match c {
            _ if c.is_whitespace() => {
                chars.next();
                continue;
            }
            '(' => single(&mut chars, Token::Open),
            ')' => single(&mut chars, Token::Close),
            '\'' => Token::Text(quoted(&mut chars, '\'')?),
            '"' => Token::Column(quoted(&mut chars, '"')?),
            '=' | '<' | '>' | '!' => Token::Operator(operator(&mut chars)?),
            _ if c.is_ascii_digit() || c == '-' || c == '+' => number(&mut chars)?,
            _ => Token::Word(take_while(&mut chars, |c| c.is_alphanumeric() || c == '_' || c == '.')),
        };
        if token == Token::Word(String::new()) {
            return Err(PredicateError { expected: "a column, a literal or an operator", found: c.to_string() });
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn single(chars: &mut Peekable<Chars>, token: Token) -> Token {
    chars.next();
    token
}

fn take_while(chars: &mut Peekable<Chars>, accept: impl Fn(char) -> bool) -> String {
    let mut taken = String::new();
    while let Some(c) = chars.next_if(|c| accept(*c)) {
        taken.push(c);
    }
    taken
}

/// Text up to the closing quote; a doubled quote stands for itself.
fn quoted(chars: &mut Peekable<Chars>, quote: char) -> Result<String, PredicateError> {
    chars.next();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if_eq(&quote).is_some() {
            text.push(quote);
        } else {
            return Ok(text);
        }
    }
    Err(PredicateError { expected: "a closing quote", found: text })
}

fn operator(chars: &mut Peekable<Chars>) -> Result<Operator, PredicateError> {
    let written = take_while(chars, |c| "=<>!".contains(c));
    Ok(match written.as_str() {
        "=" | "==" => Operator::Equal,
        "!=" | "<>" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return Err(PredicateError { expected: "one of = != < <= > >=", found: written }),
    })
}

fn number(chars: &mut Peekable<Chars>) -> Result<Token, PredicateError> {
    let written = take_while(chars, |c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    let number = written.replace('_', "").parse();
    number.map(Token::Number).map_err(|_| PredicateError { expected: "a number", found: written })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Predicate, PredicateError> {
        let mut left = self.and()?;
        while self.keyword("or") {
            left = Predicate::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Predicate, PredicateError> {
        let mut left = self.not()?;
        while self.keyword("and") {
            left = Predicate::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Predicate, PredicateError> {
        if self.keyword("not") {
            return Ok(Predicate::Not(Box::new(self.not()?)));
        }
        if self.next_is(&Token::Open) {
            let inner = self.or()?;
            return if self.next_is(&Token::Close) { Ok(inner) } else { Err(self.expected("a closing bracket")) };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Predicate, PredicateError> {
        let column = match self.tokens.get(self.at) {
            Some(Token::Word(name) | Token::Column(name)) => name.clone(),
            _ => return Err(self.expected("a column")),
        };
        self.at += 1;
        if self.keyword("is") {
            let negated = self.keyword("not");
            return if self.keyword("null") {
                Ok(Predicate::IsNull { column, negated })
            } else {
                Err(self.expected("null"))
            };
        }
        let Some(Token::Operator(operator)) = self.tokens.get(self.at).cloned() else {
            return Err(self.expected("one of = != < <= > >= is"));
        };
        self.at += 1;
        let literal = self.literal()?;
        Ok(Predicate::Compare { column, operator, literal })
    }

    fn literal(&mut self) -> Result<Literal, PredicateError> {
        let literal = match self.tokens.get(self.at) {
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            _ => return Err(self.expected("a number, a 'text', true or false")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn next_is(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn end(&self) -> Result<(), PredicateError> {
        if self.at == self.tokens.len() { Ok(()) } else { Err(self.expected("and, or, or the end")) }
    }

    fn expected(&self, expected: &'static str) -> PredicateError {
        let found = self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), |token| format!("{token:?}"));
        PredicateError { expected, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_binds_tighter_than_or_and_brackets_bind_tightest() {
        let a = || Box::new(Predicate::parse("a = 1").unwrap());
        let b = || Box::new(Predicate::parse("b = 'x''y'").unwrap());
        let c = || Box::new(Predicate::parse("\"c d\" is not null").unwrap());
        let parse = |text| Predicate::parse(text).unwrap();
        assert_eq!(
            parse("a = 1 or b='x''y' AND \"c d\" is not null"),
            Predicate::Or(a(), Box::new(Predicate::And(b(), c())))
        );
        assert_eq!(
            parse("(a=1 or b='x''y') and not \"c d\" is not null"),
            Predicate::And(Box::new(Predicate::Or(a(), b())), Box::new(Predicate::Not(c())))
        );
        assert_eq!(parse("punsafe < 0.1 and ok = true").columns(), ["ok", "punsafe"].into());
    }

    #[test]
    fn what_is_no_condition_is_refused_with_its_place() {
        for text in ["", "a", "a =", "a = b", "= 1", "a = 1 b", "(a = 1", "a = 'x", "a ~ 1", "a is 1", "a = 1..2"] {
            assert!(Predicate::parse(text).is_err(), "{text}");
        }
    }
}
