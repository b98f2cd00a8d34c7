//! Values of environment variables that a sweep file names (`${envvar:NAME}`), kept out of what is
//! recorded and shown. Pure.

use std::borrow::Cow;

/// A shorter value is not looked for: it would be found everywhere.
const MIN_LENGTH: usize = 4;

/// Variables that hold no secrets, and whose values stand in many paths.
const PLAIN: &[&str] = &[
    "HOME",
    "HOSTNAME",
    "LANG",
    "LOGNAME",
    "OLDPWD",
    "PATH",
    "PWD",
    "SHELL",
    "TERM",
    "TMPDIR",
    "USER",
    "VIRTUAL_ENV",
];

/// Texts to be hidden, and what is shown in their place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The values of these variables, given as name and value.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut hidden = Vec::new();
        for (name, value) in variables {
            if PLAIN.contains(&name.as_str()) || value.chars().count() < MIN_LENGTH {
                continue;
            }
            let shown = format!("${{envvar:{name}}}");
            // Messages quote what a program wrote, as JSON and Rust write a text.
            let quoted = serde_json::Value::from(value.as_str()).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            if inner != value {
                hidden.push((inner.to_owned(), shown.clone()));
            }
            hidden.push((value, shown));
        }
        // One value may be a part of another.
        hidden.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        Self(hidden)
    }

    /// A text with the variables' names in place of their values.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut redacted = Cow::Borrowed(text);
        for (value, shown) in &self.0 {
            if redacted.contains(value.as_str()) {
                redacted = Cow::Owned(redacted.replace(value.as_str(), shown));
            }
            // A quoted text may have been cut within the value.
            if let Some(cut) = cut_off(&redacted, value) {
                redacted = Cow::Owned(format!(
                    "{}{shown}{}",
                    &redacted[..cut.start],
                    &redacted[cut.end..]
                ));
            }
        }
        redacted
    }

    /// As `redact`, in place.
    pub fn redact_in(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }
}

/// Never the values.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(_, shown)| shown))
            .finish()
    }
}

/// Where a text has the beginning of a value, followed by the sign that the text was cut there.
fn cut_off(text: &str, value: &str) -> Option<std::ops::Range<usize>> {
    let (end, _) = text
        .match_indices('…')
        .find(|(end, _)| shared_end(&text[..*end], value) > 0)?;
    Some(end - shared_end(&text[..end], value)..end)
}

/// Length in bytes of the longest beginning of a value that a text ends with; 0 if it is shorter
/// than a secret.
fn shared_end(text: &str, value: &str) -> usize {
    let ends = value.char_indices().map(|(at, _)| at).rev();
    ends.take_while(|&length| value[..length].chars().nth(MIN_LENGTH - 1).is_some())
        .find(|&length| text.ends_with(&value[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_wherever_they_stand() {
        let named = [
            ("KEY", "hunter2hunter2"),
            ("LONG", "hunter2hunter2-and-more"),
            ("Q", "a\"b\\c\nd"),
            ("HOME", "/root"),
        ];
        let secrets = Secrets::new(named.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let redact = |text: &str| secrets.redact(text).into_owned();
        assert_eq!(redact("--key=hunter2hunter2 x"), "--key=${envvar:KEY} x");
        assert_eq!(redact("hunter2hunter2-and-more!"), "${envvar:LONG}!");
        assert_eq!(
            redact("a\"b\\c\nd {\"k\":\"a\\\"b\\\\c\\nd\"}"),
            "${envvar:Q} {\"k\":\"${envvar:Q}\"}"
        );
        assert_eq!(
            redact("cut: \"AA=hunter2hun…\""),
            "cut: \"AA=${envvar:LONG}…\"",
            "the longer one, as far as one can see"
        );
        assert_eq!(
            redact("/root/x: hun… no"),
            "/root/x: hun… no",
            "too little to tell, and no secret"
        );
        assert!(!format!("{secrets:?}").contains("hunter"));
    }

    #[test]
    fn short_values_are_not_looked_for() {
        let secrets = Secrets::new([
            ("N".to_owned(), "123".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        assert_eq!(secrets.redact("123 1234"), "123 1234");
    }
}
