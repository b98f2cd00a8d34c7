//! YAML text to a `Node` tree with a place for every node. The only file that knows serde-saphyr
//! (its event parser: serde's own data model has no places, and guesses at scalars). Bounds what a
//! hostile file can cost.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self as yaml, ErrorKind, Event, ScalarStyle, ScanError};

use super::problem::{Finding, Problems, Span, count, quoted};
use super::tree::{Entry, Kind, Node, Scalar};
use super::{MAX_DEPTH, MAX_NODES};

/// The one document of the text; nothing where it could not be read to its end, which `problems`
/// then says.
pub(super) fn parse(problems: &mut Problems<'_>) -> Option<Node> {
    let source = problems.source();
    let mut options = yaml::Options::default();
    // `%YAML 1.1` would ask for other scalars than those we read.
    options.disallow_directives = true;
    options.emit_comments = false;
    let mut builder = Builder {
        problems,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
        documents: 0,
    };
    for event in yaml::Parser::new_from_str_with_options(source, options) {
        let step = match event {
            Ok((event, place)) => builder.event(event, &place),
            Err(error) => {
                let finding = syntax(source, &error);
                builder.problems.add(finding);
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }
    let root = builder.root.take();
    if root.as_ref().is_none_or(Node::is_null) {
        problems.add(
            Finding::new(Span::new(0, 0), "the file holds no sweep", "nothing here")
                .help("a sweep file names at least `name`, `task`, `metric`, `seeds` and `parameters`; see sweeps/quick.yaml"),
        );
        return None;
    }
    root
}

/// A problem that ends the reading; it has been reported.
struct Stop;

struct Builder<'p, 's> {
    problems: &'p mut Problems<'s>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    /// How many nodes there are so far, aliases expanded.
    nodes: usize,
    root: Option<Node>,
    documents: usize,
}

/// A collection that is still open.
struct Frame {
    content: Content,
    anchor: usize,
    start: usize,
    /// Where its last child ended: block collections have no end of their own.
    end: usize,
    nodes_before: usize,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        merges: Vec<(Span, Node)>,
        key: PendingKey,
    },
}

/// What the next node of a mapping is.
enum PendingKey {
    /// A key.
    None,
    /// The value of a key that has been reported.
    Bad,
    /// What `<<` stands for.
    Merge(Span),
    /// The value of this key.
    Text(Rc<str>, Span),
}

impl Builder<'_, '_> {
    fn event(&mut self, event: Event<'_>, place: &yaml::Span) -> Result<(), Stop> {
        let span = place
            .byte_range()
            .map_or(Span::new(0, 0), |range| Span::new(range.start, range.end));
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let finding =
                        Finding::new(span, "a second document begins here", "second document");
                    self.problems.add(
                        finding.help(
                            "one file holds one sweep: put the second into a file of its own",
                        ),
                    );
                    return Err(Stop);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                self.grow(1, span)?;
                let plain = style == ScalarStyle::Plain;
                // An absent value arrives as a tilde that is not in the text.
                let text = if plain && span.is_empty() {
                    "".into()
                } else {
                    Rc::from(&*text)
                };
                let node = Node {
                    span,
                    kind: Kind::Scalar(Scalar { text, plain }),
                    size: 1,
                };
                self.finish(node, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                self.open(Content::List(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                let content = Content::Map {
                    entries: Vec::new(),
                    merges: Vec::new(),
                    key: PendingKey::None,
                };
                self.open(content, anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Alias(anchor) => {
                let Some(target) = self.anchors.get(&anchor) else {
                    let finding = Finding::new(
                        span,
                        "an alias inside the very thing that it stands for",
                        "refers to itself",
                    );
                    self.problems.add(finding.help("write the value out here"));
                    return Err(Stop);
                };
                let node = Node {
                    span,
                    ..target.clone()
                };
                self.grow(node.size, span)?;
                self.finish(node, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, place: &yaml::Span, node: Span) {
        if tagged {
            let span = place
                .tag_span()
                .and_then(|tag| tag.byte_range())
                .map_or(node, |range| Span::new(range.start, range.end));
            let finding = Finding::new(span, "YAML tags are not supported", "a tag");
            self.problems.add(finding.help(
                "remove it; quote a value to make it text, give its parameter a `type` otherwise",
            ));
        }
    }

    fn grow(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!(
            "the file holds more than {} values, aliases expanded",
            count(MAX_NODES as u128)
        );
        self.problems.add(
            Finding::new(span, message, "one too many").help("split the sweep into several files"),
        );
        Err(Stop)
    }

    fn open(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            self.problems.add(too_deep(span));
            return Err(Stop);
        }
        let nodes_before = self.nodes;
        self.grow(1, span)?;
        self.stack.push(Frame {
            content,
            anchor,
            start: span.start,
            end: span.end,
            nodes_before,
        });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        // The end event of a flow collection is its bracket; that of a block is empty and lies in a
        // later line.
        let end = if span.is_empty() { frame.end } else { span.end };
        let place = Span::new(frame.start, end.max(frame.start));
        let kind = match frame.content {
            Content::List(items) => Kind::List(Rc::new(items)),
            Content::Map {
                entries, merges, ..
            } => Kind::Map(Rc::new(self.close_map(entries, merges)?)),
        };
        self.finish(
            Node {
                span: place,
                kind,
                size: self.nodes - frame.nodes_before,
            },
            frame.anchor,
        )
    }

    /// A node is complete: it goes to its place in the collection around it.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.end = frame.end.max(node.span.end);
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                merges,
                key,
            } => match std::mem::replace(key, PendingKey::None) {
                PendingKey::None => *key = pending_key(&node, self.problems),
                PendingKey::Bad => {}
                PendingKey::Merge(span) => merges.push((span, node)),
                PendingKey::Text(name, key_span) => entries.push(Entry {
                    key: name,
                    key_span,
                    value: node,
                }),
            },
        }
        Ok(())
    }

    /// Reports repeated keys, and puts in what the merge key names.
    fn close_map(
        &mut self,
        own: Vec<Entry>,
        merges: Vec<(Span, Node)>,
    ) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut index: HashMap<Rc<str>, usize> = HashMap::new();
        if let Some((first, _)) = merges.first() {
            for (span, _) in merges.iter().skip(1) {
                self.problems.add(
                    repeated_key("<<", *span, *first, self.problems.line(*first))
                        .help("use one: `<<: [*a, *b]`"),
                );
            }
        }
        for (span, node) in merges.iter().take(1) {
            let sources = match &node.kind {
                Kind::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            for source in sources {
                let Kind::Map(merged) = &source.kind else {
                    let finding = Finding::new(
                        source.span.or(*span),
                        "`<<` takes a mapping",
                        "not a mapping",
                    );
                    self.problems.add(
                        finding.help(
                            "name a mapping with an alias (`<<: *common`), or a list of such",
                        ),
                    );
                    continue;
                };
                self.grow(source.size, *span)?;
                for entry in merged.iter() {
                    // Of several sources the first one wins, and the mapping's own keys win over
                    // all.
                    if !index.contains_key(&entry.key) {
                        index.insert(entry.key.clone(), entries.len());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        let mut written: HashMap<Rc<str>, Span> = HashMap::new();
        for entry in own {
            if let Some(&first) = written.get(&entry.key) {
                let finding =
                    repeated_key(&entry.key, entry.key_span, first, self.problems.line(first));
                self.problems.add(finding.help("remove one of them"));
                continue;
            }
            written.insert(entry.key.clone(), entry.key_span);
            match index.get(&entry.key) {
                Some(&at) => entries[at] = entry,
                None => entries.push(entry),
            }
        }
        Ok(entries)
    }
}

fn repeated_key(key: &str, span: Span, first: Span, line: usize) -> Finding {
    Finding::new(
        span,
        format!(
            "the key {} is here twice, first in line {line}",
            quoted(key)
        ),
        "again",
    )
    .also(first, "first here")
}

fn pending_key(node: &Node, problems: &mut Problems<'_>) -> PendingKey {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.plain && &*scalar.text == "<<" => {
            PendingKey::Merge(node.span)
        }
        Kind::Scalar(scalar) if !scalar.text.is_empty() && !scalar.is_null() => {
            PendingKey::Text(scalar.text.clone(), node.span)
        }
        Kind::Scalar(_) => {
            problems.add(
                Finding::new(node.span, "a key is missing before the colon", "no key")
                    .help("write `name: value`"),
            );
            PendingKey::Bad
        }
        _ => {
            let message = format!("a key must be text, not {}", node.describe());
            problems.add(
                Finding::new(node.span, message, "not text")
                    .help("quote it if the brackets belong to the text"),
            );
            PendingKey::Bad
        }
    }
}

fn too_deep(span: Span) -> Finding {
    Finding::new(
        span,
        format!("nested more than {MAX_DEPTH} levels deep"),
        "too deep",
    )
    .help("a sweep file has about five levels: is a bracket or an indentation wrong?")
}

/// The parser's errors in plain words.
fn syntax(source: &str, error: &ScanError) -> Finding {
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
            "text goes on after the closing quote".to_owned(),
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

/// Whether the bracket at a place is that of a macro: to YAML it begins a mapping.
fn is_macro(source: &str, at: usize) -> bool {
    source.get(..at).is_some_and(|before| before.ends_with('$')) && source[at..].starts_with('{')
}

/// The word at a place, for the parser tells only where an error starts; at the end of the file,
/// its last word.
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
    let special = |c: char| c.is_whitespace() || "[]{},:\"'".contains(c);
    let length = match rest.find(special) {
        Some(0) | None => rest.chars().next().map_or(0, char::len_utf8),
        Some(length) => length,
    };
    Span::new(at, at + length)
}
