//! Parses an object as loggers write it: JSON, or what Python and others write in its place. `NaN`,
//! `Infinity`, `nan` and `-inf` have no quotes, numbers are too large for a float, and a printed
//! dictionary has single quotes, `True`, `None` and `np.float64(0.5)`. Pure.

use serde_json::{Map, Number, Value};

/// Maximum depth of nested containers; deeper ones are kept as text.
const MAX_DEPTH: usize = 64;

/// Why a text is not an object. The messages follow the name of the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It is not JSON, nor anything like it.
    #[error("is not JSON ({0})")]
    NotJson(String),
    /// It is a number, a list or the like.
    #[error("is not a JSON object")]
    NotAnObject,
}

/// Parses a text that is an object, with nothing but white space around it.
///
/// # Errors
/// `ObjectError`, if it is anything else.
pub fn object(text: &str) -> Result<Map<String, Value>, ObjectError> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => lenient(text).ok_or_else(|| ObjectError::NotJson(error.to_string()))?,
    };
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(ObjectError::NotAnObject),
    }
}

/// Parses a text that is one value of any kind, with nothing but white space around it.
pub(super) fn value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| lenient(text))
}

/// Parses a value leniently. Numbers that are not finite become text, which means the same in a
/// report.
fn lenient(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.rest.trim_start().is_empty().then_some(value)
}

/// Parses a text from its beginning.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Takes a letter if it comes next.
    fn take(&mut self, letter: char) -> bool {
        let is_next = self.peek() == Some(letter);
        if is_next {
            self.rest = &self.rest[letter.len_utf8()..];
        }
        is_next
    }

    /// Takes letters as long as `predicate` holds.
    fn take_while(&mut self, predicate: impl Fn(char) -> bool) -> &'a str {
        let end = self
            .rest
            .find(|letter| !predicate(letter))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            '{' | '[' | '(' if depth >= MAX_DEPTH => self.skip(),
            '{' => self.mapping(depth),
            '[' => self.list(depth, '[', ']'),
            '(' => self.list(depth, '(', ')'),
            quote @ ('"' | '\'') => self.text(quote).map(Value::String),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            letter if letter.is_alphabetic() || letter == '_' => self.word(depth),
            _ => None,
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        self.take('{');
        while !self.take('}') {
            let name = match self.value(depth + 1)? {
                Value::String(name) => name,
                // Python's keys may be numbers.
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            if !self.take(':') {
                return None;
            }
            let value = self.value(depth + 1)?;
            map.insert(name, value);
            if !self.take(',') && self.peek() != Some('}') {
                return None;
            }
        }
        Some(Value::Object(map))
    }

    fn list(&mut self, depth: usize, open: char, close: char) -> Option<Value> {
        let mut items = Vec::new();
        self.take(open);
        while !self.take(close) {
            items.push(self.value(depth + 1)?);
            if !self.take(',') && self.peek() != Some(close) {
                return None;
            }
        }
        Some(Value::Array(items))
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut out = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        loop {
            let (place, letter) = letters.next()?;
            match letter {
                letter if letter == quote => {
                    self.rest = &self.rest[place + letter.len_utf8()..];
                    return Some(out);
                }
                '\\' => match letters.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    coded @ ('u' | 'x' | 'U') => {
                        let length = match coded {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let digits: String = letters
                            .by_ref()
                            .take(length)
                            .map(|(_, digit)| digit)
                            .collect();
                        let code = u32::from_str_radix(&digits, 16).ok()?;
                        // Half of a surrogate pair is not a character.
                        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    other => out.push(other),
                },
                other => out.push(other),
            }
        }
    }

    fn number(&mut self) -> Option<Value> {
        let sign = self.take_while(|letter| matches!(letter, '-' | '+'));
        if self.rest.starts_with(char::is_alphabetic) {
            let word = self.take_while(char::is_alphanumeric);
            return not_finite(&format!("{sign}{word}"));
        }
        let digits = self.take_while(|letter| {
            letter.is_ascii_digit() || matches!(letter, '.' | 'e' | 'E' | '-' | '+')
        });
        let text = format!("{sign}{digits}");
        if let Ok(whole) = text.parse::<i64>() {
            return Some(Value::from(whole));
        }
        let number: f64 = text.parse().ok()?;
        Number::from_f64(number)
            .map(Value::Number)
            .or_else(|| not_finite(&number.to_string()))
    }

    /// A bare word: a constant, or a call whose first argument is the value, as in `tensor(0.5,
    /// device='cuda:0')`.
    fn word(&mut self, depth: usize) -> Option<Value> {
        let word =
            self.take_while(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'));
        match word {
            "true" | "True" => return Some(Value::Bool(true)),
            "false" | "False" => return Some(Value::Bool(false)),
            "null" | "None" => return Some(Value::Null),
            _ if self.peek() != Some('(') => return not_finite(word),
            _ => {}
        }
        self.take('(');
        let value = self.value(depth + 1)?;
        while !self.take(')') {
            if !self.take(',') {
                return None;
            }
            if self.peek() == Some(')') {
                continue;
            }
            // Another argument, with or without a name.
            let named = self
                .rest
                .trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
            if let Some(rest) = named.strip_prefix('=') {
                self.rest = rest;
            }
            if self.value(depth + 1).is_none() {
                // `torch.float64` and the like: a word that is not a constant.
                self.take_while(|letter| !matches!(letter, ',' | ')'));
            }
        }
        Some(value)
    }

    /// Takes a container that is too deep, as text.
    fn skip(&mut self) -> Option<Value> {
        let begin = self.rest;
        let mut open = 0_usize;
        loop {
            match self.peek()? {
                quote @ ('"' | '\'') => drop(self.text(quote)?),
                letter => {
                    self.rest = &self.rest[letter.len_utf8()..];
                    match letter {
                        '{' | '[' | '(' => open += 1,
                        '}' | ']' | ')' => open -= 1,
                        _ => {}
                    }
                    if open == 0 {
                        return Some(Value::String(
                            begin[..begin.len() - self.rest.len()].to_owned(),
                        ));
                    }
                }
            }
        }
    }
}

/// Parses a word for a number that is not finite into the text that a report has for it.
fn not_finite(word: &str) -> Option<Value> {
    // Rust parses all such words in any case; no finite number begins with a letter.
    let number: f64 = word
        .parse()
        .ok()
        .filter(|number: &f64| !number.is_finite())?;
    let name = if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    };
    Some(Value::String(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        Value::Object(object(text).unwrap_or_else(|what| panic!("{text} {what}")))
    }

    #[test]
    fn numbers_that_are_not_finite_need_no_quotes() {
        let python =
            r#"{"NaN": NaN, "a\"NaN": [-Infinity], "b": Infinity, "big": 1e400, "small": -1e400}"#;
        let read_as = json!({"NaN": "NaN", "a\"NaN": ["-Infinity"], "b": "Infinity", "big": "Infinity", "small": "-Infinity"});
        assert_eq!(read(python), read_as);
        assert_eq!(
            read(r#"{"a": nan, "b": -nan, "c": inf, "d": -inf}"#),
            json!({"a": "NaN", "b": "NaN", "c": "Infinity", "d": "-Infinity"})
        );
    }

    #[test]
    fn a_dictionary_printed_by_python_is_parsed() {
        let printed = "{'loss': 0.5, \"it's\": True, 'n': None, 1: (1, 2,), 'x': np.float64(0.25), 'y': tensor(3., device='cuda:0', \
                       dtype=torch.float64), 'nan': nan, 'text': 'a \\'b\\' \\xe4',}";
        let read_as = json!({"loss": 0.5, "it's": true, "n": null, "1": [1, 2], "x": 0.25, "y": 3.0, "nan": "NaN", "text": "a 'b' ä"});
        assert_eq!(read(printed), read_as);
    }

    #[test]
    fn deeply_nested_values_are_kept_as_text() {
        let deep = format!(
            r#"{{"a": {}1{}, "loss": 0.5}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(read(&deep)["loss"], json!(0.5));
    }

    #[test]
    fn other_values_are_refused() {
        for text in ["[1, 2]", "7", "NaN", "(1,)"] {
            assert_eq!(object(text), Err(ObjectError::NotAnObject), "{text}");
        }
        for text in [
            "",
            "{",
            "{'a': 1",
            "{'a' 1}",
            "{a: 1}",
            "loss: 3",
            "{'a': b}",
            "{'a': 1} {'b': 2}",
            "{\"a\": 1 2}",
            "{(",
            "{1]",
        ] {
            assert!(
                matches!(object(text), Err(ObjectError::NotJson(_))),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn strict_json_is_parsed_the_same_way(text in r#"\{("[a-z\\"]{0,3}": ?(1|-2\.5e3|"x"|null|true|\[1, 2\]|\{\}),? ?){0,3}\}"#) {
            if let Ok(Value::Object(strict)) = serde_json::from_str(&text) {
                prop_assert_eq!(lenient(&text), Some(Value::Object(strict)));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"([\{\}\[\]\(\)'":,.\\a-z0-9 =+-]|nan|inf|True){0,60}"#) {
            let _ = object(&text);
        }
    }
}
