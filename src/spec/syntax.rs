//! The YAML parser's errors, as findings that say what to do about them.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::MAX_DEPTH;
use super::problem::{Finding, Span};

/// The problem of a node below the deepest level.
pub(super) fn too_deep(span: Span) -> Finding {
    Finding::new(
        span,
        format!("nested more than {MAX_DEPTH} levels deep"),
        "too deep",
    )
    .help("a sweep file has about five levels: is a bracket or an indentation wrong?")
}

/// Describes an error of the parser in plain English.
pub(super) fn finding(source: &str, error: &ScanError) -> Finding {
    let at = error.marker().byte_offset().unwrap_or(0).min(source.len());
    let span = word_at(source, at);

    let (message, label, help): (String, &str, Option<&str>) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(span),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => (
            "a tab in the indentation".to_owned(),
            "tab",
            Some("indent with spaces"),
        ),
        ErrorKind::TabInPlainScalar => (
            "a tab inside a value".to_owned(),
            "tab",
            Some("use spaces, or quote the value"),
        ),
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingKeyNotAllowed => (
            "a `key:` is not allowed here".to_owned(),
            "unexpected `:`",
            Some("check the brackets and the indentation above; quote a text that contains `: `"),
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "this line is neither a key with a value nor part of one".to_owned(),
            "no `:` after it",
            Some("write `key: value`, with a space after the colon"),
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedDocumentStart
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::UnexpectedEofBlockSequence => (
            "the indentation fits nothing above".to_owned(),
            "unexpected here",
            Some("keys that belong together start in the same column"),
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => (
            format!("`{open}` is closed by `{close}`"),
            "opened here",
            Some("close it with its own kind of bracket"),
        ),
        ErrorKind::UnclosedFlowCollection { open } => (
            format!("`{open}` is never closed"),
            "opened here",
            Some("add the closing bracket"),
        ),
        ErrorKind::MisplacedFlowCollectionEnd => (
            "a closing bracket without an opening one".to_owned(),
            "not opened",
            Some("remove it, or open it above"),
        ),
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => (
            "the file ends inside brackets".to_owned(),
            "the end",
            Some("close the bracket"),
        ),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator
            if is_macro(source, at) =>
        {
            (
                "a `${...}` in brackets must be quoted".to_owned(),
                "not quoted",
                Some("write \"${args}\", with the quotes"),
            )
        }
        ErrorKind::ExpectedFlowMappingSeparator => (
            "a comma or `}` is missing before this".to_owned(),
            "unexpected",
            Some("is a bracket above still open?"),
        ),
        ErrorKind::ExpectedFlowSequenceSeparator => (
            "a comma or `]` is missing before this".to_owned(),
            "unexpected",
            Some("is a bracket above still open?"),
        ),
        ErrorKind::InvalidFlowScalarIndent => (
            "a bracket above is still open".to_owned(),
            "inside brackets",
            Some("close the bracket, or indent this line"),
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent => (
            "a quote is never closed".to_owned(),
            "opened here",
            Some("add the closing quote"),
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "text continues after the closing quote".to_owned(),
            "after the quote",
            Some("put all of it inside the quotes"),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "an unknown escape after a backslash".to_owned(),
            "unknown escape",
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        ErrorKind::UnknownAnchor => (
            "an alias without an anchor before it".to_owned(),
            "no such anchor",
            Some("name the value with `&name` above, or quote a text that begins with `*`"),
        ),
        ErrorKind::MissingAnchorOrAliasName => (
            "a `&` or `*` without a name".to_owned(),
            "no name",
            Some("name the anchor, or quote the text"),
        ),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => (
            "a `- ` item is not allowed here".to_owned(),
            "unexpected `-`",
            Some("start the list in a line of its own, or write it as [a, b]"),
        ),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => (
            format!("a control character (U+{:04X})", u32::from(*character)),
            "not allowed",
            Some("remove it"),
        ),
        ErrorKind::UnexpectedCharacter { character } => (
            format!("a value must not begin with `{character}`"),
            "not allowed here",
            Some("quote the value"),
        ),
        ErrorKind::DirectiveDisallowed => (
            "YAML directives are not supported".to_owned(),
            "a directive",
            Some("remove this line"),
        ),
        ErrorKind::BomInsideDocument => (
            "a byte order mark inside the file".to_owned(),
            "invisible character",
            Some("remove it"),
        ),
        other => (format!("this is not valid YAML: {other}"), "here", None),
    };

    Finding::new(span, message, label).help_opt(help.map(str::to_owned))
}

/// Whether the bracket at a place begins a macro. To YAML it begins a mapping.
fn is_macro(source: &str, at: usize) -> bool {
    source.get(..at).is_some_and(|before| before.ends_with('$')) && source[at..].starts_with('{')
}

/// The word at a place, since the parser tells only where an error starts. At the end of the file,
/// the last character.
fn word_at(source: &str, at: usize) -> Span {
    let mut at = at;
    while !source.is_char_boundary(at) {
        at -= 1;
    }

    if source[at..].trim().is_empty() {
        let end = source[..at].trim_end().len();
        let start = source[..end]
            .char_indices()
            .next_back()
            .map_or(0, |(index, _)| index);
        return Span::new(start, end);
    }

    let rest = &source[at..];
    let end = rest.find(|c: char| c.is_whitespace() || "[]{},:\"'".contains(c));
    let length = match end {
        Some(0) | None => rest.chars().next().map_or(0, char::len_utf8),
        Some(length) => length,
    };
    Span::new(at, at + length)
}
