//! A seed among the parameters, as W&B's sweep files have it: its values are the tuning seeds.
//! `seeds: {parameter: random_seed}` names another parameter than `seed`.

use std::rc::Rc;

use super::tree::{Entry, Kind, Node};

/// Takes the seed out of a file's parameters. Returns the file without it and the parameter, if its
/// values are to be the tuning seeds.
pub(super) fn take(root: Node) -> (Node, Option<Entry>) {
    let Some(name) = seed_name(&root) else {
        return (root, None);
    };
    let Kind::Map(entries) = &root.kind else {
        return (root, None);
    };

    let mut taken = None;
    let mut rest: Vec<Entry> = entries.to_vec();
    for block in &mut rest {
        if &*block.key != "parameters" {
            continue;
        }
        if let Kind::Map(parameters) = &block.value.kind {
            let mut parameters = parameters.to_vec();
            if let Some(place) = parameters.iter().position(|entry| *entry.key == *name) {
                taken = Some(parameters.remove(place));
            }
            block.value.kind = Kind::Map(Rc::new(parameters));
        }
    }

    let root = Node {
        kind: Kind::Map(Rc::new(rest)),
        ..root
    };
    (root, taken)
}

/// The parameter whose values are the tuning seeds; None if the file does not want that.
fn seed_name(root: &Node) -> Option<String> {
    if find(root, "task").is_some() {
        return None;
    }
    match find(root, "seeds") {
        None => Some(super::command::SEED.to_owned()),
        Some(seeds) => match &find(&seeds.value, "parameter")?.value.kind {
            Kind::Scalar(scalar) => Some(scalar.text.to_string()),
            _ => None,
        },
    }
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
        _ => None,
    }
}
