//! Tokens of a condition.

use super::{Number, Operator, PredicateError};
use std::{iter::Peekable, str::Chars};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A bare word: keyword or column.
    Word(String),
    /// A "quoted" column.
    Column(String),
    Text(String),
    Number(Number),
    Operator(Operator),
    Open,
    Close,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, PredicateError> {
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
            return Err(PredicateError::expected("a column, a literal or an operator", c));
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

/// Text up to the closing quote; a doubled quote is a literal quote.
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
    Err(PredicateError::expected("a closing quote", text))
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
        _ => return Err(PredicateError::expected("one of = != < <= > >=", written)),
    })
}

fn number(chars: &mut Peekable<Chars>) -> Result<Token, PredicateError> {
    let written = take_while(chars, |c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    let number = Number::parse(&written.replace('_', ""));
    number.map(Token::Number).ok_or_else(|| PredicateError::expected("a number", written))
}
