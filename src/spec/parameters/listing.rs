//! The names of all parameters of a file, before their values are read.

use crate::spec::tree::{Entry, Kind, Node};

/// Returns the names of the parameters in the `parameters` blocks of the sweep, of its arms and of
/// their grids.
pub(in crate::spec) fn names(root: &Node) -> Vec<String> {
    let mut names = Vec::new();
    add_layer(root, &mut names);
    for arm in entry(root, "arms").map(children).unwrap_or_default() {
        add_layer(arm, &mut names);
    }
    names.sort();
    names.dedup();
    names
}

/// The parameters of a layer and of its grids.
fn add_layer(layer: &Node, names: &mut Vec<String>) {
    if let Some(block) = entry(layer, "parameters") {
        add_block(&block.value, "", names);
    }
    for grid in entry(layer, "grids").map(children).unwrap_or_default() {
        if let Some(block) = entry(grid, "parameters") {
            add_block(&block.value, "", names);
        }
    }
}

fn add_block(block: &Node, prefix: &str, names: &mut Vec<String>) {
    let Kind::Map(entries) = &block.kind else {
        return;
    };
    for parameter in entries.iter() {
        let name = format!("{prefix}{}", parameter.key);
        match entry(&parameter.value, "parameters") {
            Some(group) => add_block(&group.value, &format!("{name}."), names),
            None => names.push(name),
        }
    }
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
        _ => None,
    }
}

/// The values of a mapping, or the items of a list.
fn children(entry: &Entry) -> Vec<&Node> {
    match &entry.value.kind {
        Kind::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
        Kind::List(items) => items.iter().collect(),
        Kind::Scalar(_) => Vec::new(),
    }
}
