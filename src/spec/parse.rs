//! Parses YAML text into a `Node` tree with a place for every node. Uses the event parser of
//! serde-saphyr, because serde's own data model has no places and guesses the types of scalars.
//! Bounds what a hostile file can cost.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self as yaml, Event, ScalarStyle};

use super::problem::{Finding, Problems, Span, count, quoted};
use super::tree::{Entry, Kind, Node, Scalar};
use super::{MAX_DEPTH, MAX_NODES, syntax};

/// Parses the one document of the text. Returns None if it could not be read to its end, which
/// `problems` then says.
pub(super) fn parse(problems: &mut Problems<'_>) -> Option<Node> {
    let source = problems.source();
    let mut options = yaml::Options::default();
    // `%YAML 1.1` would ask for other rules for scalars.
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
                builder.problems.add(syntax::finding(source, &error));
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }

    let root = builder.root.take().filter(|root| !root.is_null());
    if root.is_none() {
        problems.report(
            Span::new(0, 0),
            "the file holds no sweep",
            "nothing here",
            "a sweep file names at least `name`, `task`, `metric`, `seeds` and `parameters`; see sweeps/quick.yaml",
        );
    }
    root
}

/// A problem that ends the parsing. It has been reported.
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

/// The role of the next node of a mapping.
enum PendingKey {
    /// A key.
    None,
    /// The value of a key that is not valid, which has been reported.
    Bad,
    /// The value of a merge key, `<<`.
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
            Event::DocumentStart(..) => self.start_document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                self.scalar(&text, style == ScalarStyle::Plain, anchor, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                self.open(Content::List(Vec::new()), anchor, span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place, span);
                let content = Content::Map {
                    entries: Vec::new(),
                    merges: Vec::new(),
                    key: PendingKey::None,
                };
                self.open(content, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn start_document(&mut self, span: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents <= 1 {
            return Ok(());
        }
        self.problems.report(
            span,
            "a second document begins here",
            "second document",
            "one file holds one sweep: put the second into a file of its own",
        );
        Err(Stop)
    }

    fn scalar(&mut self, text: &str, plain: bool, anchor: usize, span: Span) -> Result<(), Stop> {
        self.grow(1, span)?;

        // An absent value arrives as a tilde that is not in the text.
        let is_absent = plain && span.is_empty();
        let text = if is_absent { "" } else { text };
        let node = Node {
            span,
            kind: Kind::Scalar(Scalar {
                text: text.into(),
                plain,
            }),
            size: 1,
        };
        self.finish(node, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(target) = self.anchors.get(&anchor) else {
            self.problems.report(
                span,
                "an alias inside the value that it stands for",
                "refers to itself",
                "write the value out here",
            );
            return Err(Stop);
        };
        let node = Node {
            span,
            ..target.clone()
        };
        self.grow(node.size, span)?;
        self.finish(node, 0)
    }

    fn refuse_tag(&mut self, is_tagged: bool, place: &yaml::Span, node: Span) {
        if !is_tagged {
            return;
        }
        let span = place
            .tag_span()
            .and_then(|tag| tag.byte_range())
            .map_or(node, |range| Span::new(range.start, range.end));
        self.problems.report(
            span,
            "YAML tags are not supported",
            "a tag",
            "remove it; quote a value to make it text, give its parameter a `type` otherwise",
        );
    }

    /// Counts nodes, and refuses a file with too many of them.
    fn grow(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!(
            "the file holds more than {} values, aliases expanded",
            count(MAX_NODES as u128)
        );
        let help = "split the sweep into several files";
        self.problems.report(span, message, "one too many", help);
        Err(Stop)
    }

    fn open(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            self.problems.add(syntax::too_deep(span));
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

        // The end event of a flow collection is its bracket. That of a block is empty and lies in a
        // later line, so the end of the last child is used instead.
        let end = if span.is_empty() { frame.end } else { span.end };
        let span = Span::new(frame.start, end.max(frame.start));

        let kind = match frame.content {
            Content::List(items) => Kind::List(Rc::new(items)),
            Content::Map {
                entries, merges, ..
            } => Kind::Map(Rc::new(self.close_map(entries, &merges)?)),
        };
        let node = Node {
            span,
            kind,
            size: self.nodes - frame.nodes_before,
        };
        self.finish(node, frame.anchor)
    }

    /// Puts a complete node into the collection around it.
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

    /// Returns the entries of a mapping: what its merge key names, then its own keys. Reports
    /// repeated keys.
    fn close_map(&mut self, own: Vec<Entry>, merges: &[(Span, Node)]) -> Result<Vec<Entry>, Stop> {
        let mut merged = self.merged(merges)?;

        let mut written: HashMap<Rc<str>, Span> = HashMap::new();
        for entry in own {
            if let Some(&first) = written.get(&entry.key) {
                self.report_repeated_key(&entry.key, entry.key_span, first, "remove one of them");
                continue;
            }
            written.insert(entry.key.clone(), entry.key_span);
            merged.replace(entry);
        }
        Ok(merged.entries)
    }

    /// Returns the entries that the merge key of a mapping names.
    fn merged(&mut self, merges: &[(Span, Node)]) -> Result<Merged, Stop> {
        let mut merged = Merged::default();
        let Some(((span, node), others)) = merges.split_first() else {
            return Ok(merged);
        };
        for (other, _) in others {
            self.report_repeated_key("<<", *other, *span, "use one: `<<: [*a, *b]`");
        }

        let sources = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for source in sources {
            let Kind::Map(entries) = &source.kind else {
                self.problems.report(
                    source.span.or(*span),
                    "`<<` takes a mapping",
                    "not a mapping",
                    "name a mapping with an alias (`<<: *common`), or a list of such",
                );
                continue;
            };
            self.grow(source.size, *span)?;
            for entry in entries.iter() {
                merged.add(entry);
            }
        }
        Ok(merged)
    }

    fn report_repeated_key(&mut self, key: &str, span: Span, first: Span, help: &str) {
        let line = self.problems.line(first);
        let message = format!(
            "the key {} is here twice, first in line {line}",
            quoted(key)
        );
        self.problems.add(
            Finding::new(span, message, "again")
                .also(first, "first here")
                .help(help),
        );
    }
}

/// Entries with unique keys, in the order of their first occurrence.
#[derive(Default)]
struct Merged {
    entries: Vec<Entry>,
    places: HashMap<Rc<str>, usize>,
}

impl Merged {
    /// Adds an entry unless its key is there: of several sources the first one wins.
    fn add(&mut self, entry: &Entry) {
        if !self.places.contains_key(&entry.key) {
            self.replace(entry.clone());
        }
    }

    /// Adds an entry, or replaces the one of its key: the mapping's own keys win over all sources.
    fn replace(&mut self, entry: Entry) {
        match self.places.get(&entry.key) {
            Some(&place) => self.entries[place] = entry,
            None => {
                self.places.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }
}

fn pending_key(node: &Node, problems: &mut Problems<'_>) -> PendingKey {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.plain && &*scalar.text == "<<" => {
            PendingKey::Merge(node.span)
        }
        // `null` is a key of `args`.
        Kind::Scalar(scalar)
            if &*scalar.text == "null" || !scalar.text.is_empty() && !scalar.is_null() =>
        {
            PendingKey::Text(scalar.text.clone(), node.span)
        }
        Kind::Scalar(_) => {
            let message = "a key is missing before the colon";
            problems.report(node.span, message, "no key", "write `name: value`");
            PendingKey::Bad
        }
        _ => {
            let message = format!("a key must be text, not {}", node.describe());
            let help = "quote it if the brackets belong to the text";
            problems.report(node.span, message, "not text", help);
            PendingKey::Bad
        }
    }
}
