//! Parses the tokens of a condition.

use super::{
    Literal, Predicate, PredicateError,
    tokens::{Token, tokens},
};

/// Most nested brackets and `not`s. Parsing and evaluating a condition recurse once for each.
const NESTING: usize = 100;

pub(super) fn parse(text: &str) -> Result<Predicate, PredicateError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nested: 0 };
    let predicate = parser.or()?;
    parser.end()?;
    Ok(predicate)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nested: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Predicate, PredicateError> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Predicate::Or))
    }

    fn and(&mut self) -> Result<Predicate, PredicateError> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Predicate::And))
    }

    fn not(&mut self) -> Result<Predicate, PredicateError> {
        if self.keyword("not") {
            return self.inside(|parser| Ok(Predicate::Not(Box::new(parser.not()?))));
        }
        if self.next_is(&Token::Open) {
            let inner = self.inside(Self::or)?;
            return if self.next_is(&Token::Close) {
                Ok(inner)
            } else {
                Err(self.expected("a closing bracket"))
            };
        }
        self.comparison()
    }

    /// Parses one level deeper.
    fn inside(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Predicate, PredicateError>,
    ) -> Result<Predicate, PredicateError> {
        if self.nested == NESTING {
            return Err(PredicateError::Nested { limit: NESTING });
        }
        self.nested += 1;
        let parsed = parse(self)?;
        self.nested -= 1;
        Ok(parsed)
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
            Some(Token::Number(number)) => Literal::Number(number.clone()),
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            _ => return Err(self.expected("a number, a 'text', true or false")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
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
        let found =
            self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), |token| format!("{token:?}"));
        PredicateError::expected(expected, found)
    }
}

/// The only part, or all parts joined.
fn one_or(mut parts: Vec<Predicate>, join: fn(Vec<Predicate>) -> Predicate) -> Predicate {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}
