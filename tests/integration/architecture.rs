//! `docs/architecture.md` and the code: which folder of `src/` uses which, and that neither folders
//! nor files use each other in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use imports::{Module, ModulePath, PROTOCOL, modules};

mod imports;

/// Maximum number of groups of files that use each other in a circle. It may only become smaller.
const MAX_FILE_CYCLES: usize = 3;

/// Maximum number of re-exports that a name is followed through.
const MAX_REEXPORTS: usize = 8;

/// The code, read once for all tests.
static MODULES: LazyLock<BTreeMap<ModulePath, Module>> = LazyLock::new(modules);

/// A row that may use all rows above it.
const EVERYTHING: &str = "everything above";

type Names = BTreeSet<String>;
type Graph = BTreeMap<String, Names>;

/// A row of the table of folders.
struct Row {
    folder: String,
    uses: Names,
    /// Whether `uses` is exact, or an upper bound.
    exact: bool,
}

#[test]
fn folders_use_what_the_table_says() {
    let rows = table();
    let mut used = folder_graph(&MODULES);
    // The protocol's crate is a row as well, and uses no folder.
    used.entry(PROTOCOL.to_owned()).or_default();

    let rows_of: Names = rows.iter().map(|row| row.folder.clone()).collect();
    assert_eq!(rows_of, used.keys().cloned().collect::<Names>());
    for row in rows {
        let uses = &used[&row.folder];
        let folder = row.folder;
        let more: Vec<&String> = uses.difference(&row.uses).collect();
        assert!(
            more.is_empty(),
            "`{folder}` uses {more:?}, which docs/architecture.md does not allow"
        );
        let fewer: Vec<&String> = row.uses.difference(uses).collect();
        assert!(
            fewer.is_empty() || !row.exact,
            "docs/architecture.md says that `{folder}` uses {fewer:?}, which it does not"
        );
    }
}

#[test]
fn folders_use_only_rows_above_their_own() {
    let mut above = Names::new();
    for row in table() {
        let below: Vec<&String> = row.uses.difference(&above).collect();
        let folder = row.folder;
        assert!(
            below.is_empty(),
            "`{folder}` uses {below:?}, which are not above it in docs/architecture.md"
        );
        above.insert(folder);
    }
    assert_eq!(cycles(&folder_graph(&MODULES)), Vec::<Names>::new());
}

#[test]
fn few_files_use_each_other_in_circles() {
    let graph = file_graph(&MODULES);
    let found: Vec<Vec<String>> = cycles(&graph)
        .iter()
        .map(|group| uses_within(&graph, group))
        .collect();
    assert!(
        found.len() <= MAX_FILE_CYCLES,
        "{} circles of files: {found:#?}",
        found.len()
    );
}

/// What the members of a group use of each other, a sentence each.
fn uses_within(graph: &Graph, group: &Names) -> Vec<String> {
    group
        .iter()
        .flat_map(|file| {
            graph[file]
                .intersection(group)
                .map(move |used| (file, used))
        })
        .map(|(file, used)| format!("{file} uses {used}"))
        .collect()
}

/// The table of folders in `docs/architecture.md`.
fn table() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, table) = page
        .split_once("| folder | what it is for | uses |\n")
        .expect("docs/architecture.md has a table of folders");

    let mut rows: Vec<Row> = Vec::new();
    for line in table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
    {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let exact = cells[2].trim() != EVERYTHING;
        let uses = if exact {
            names_in(cells[2]).collect()
        } else {
            rows.iter().map(|row| row.folder.clone()).collect()
        };
        let folder = names_in(cells[0]).next().expect(line);
        rows.push(Row {
            folder,
            uses,
            exact,
        });
    }
    rows
}

/// The texts in backticks.
fn names_in(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Which folder, or file of the root, uses which others.
fn folder_graph(modules: &BTreeMap<ModulePath, Module>) -> Graph {
    let is_folder = |name: &String| name == PROTOCOL || modules.contains_key(&vec![name.clone()]);
    let mut graph = Graph::new();
    for (path, module) in modules {
        // The root only declares the others.
        let Some(folder) = path.first() else { continue };
        let uses = graph.entry(folder.clone()).or_default();
        let named = module.paths.iter().filter_map(|used| used.first());
        uses.extend(
            named
                .filter(|name| *name != folder && is_folder(name))
                .cloned(),
        );
    }
    graph
}

/// Which file uses which others. A module and those below it are one thing in several files, so
/// what the lower ones use of the upper one does not count.
fn file_graph(modules: &BTreeMap<ModulePath, Module>) -> Graph {
    let mut graph = Graph::new();
    for (path, module) in modules {
        let uses = module
            .paths
            .iter()
            .filter_map(|used| resolve(modules, used, MAX_REEXPORTS))
            .filter(|(used, _)| !path.starts_with(used))
            .map(|(_, used)| used.file.display().to_string());
        graph.insert(module.file.display().to_string(), uses.collect());
    }
    graph
}

/// The module in which a path ends, through at most `more` re-exports.
fn resolve<'a>(
    modules: &'a BTreeMap<ModulePath, Module>,
    path: &[String],
    more: usize,
) -> Option<(&'a [String], &'a Module)> {
    let length = (1..=path.len())
        .rev()
        .find(|length| modules.contains_key(&path[..*length]))?;
    let (found, module) = modules.get_key_value(&path[..length])?;

    let origin = path.get(length).and_then(|name| module.exports.get(name));
    match (origin, more.checked_sub(1)) {
        (Some(origin), Some(more)) => resolve(modules, origin, more).or(Some((found, module))),
        _ => Some((found, module)),
    }
}

/// The groups of nodes that reach each other.
fn cycles(graph: &Graph) -> Vec<Names> {
    let reached: BTreeMap<&String, Names> = graph
        .keys()
        .map(|node| (node, reachable(graph, node)))
        .collect();
    let reaches =
        |from: &String, to: &String| reached.get(from).is_some_and(|all| all.contains(to));

    let mut groups = BTreeSet::new();
    for (node, others) in &reached {
        let group: Names = others
            .iter()
            .filter(|other| reaches(other, node))
            .cloned()
            .collect();
        // A node that reaches itself by another one is in a group with it.
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// All nodes that can be reached from one.
fn reachable(graph: &Graph, from: &str) -> Names {
    let mut reached = Names::new();
    let mut open: Vec<&String> = graph[from].iter().collect();
    while let Some(node) = open.pop() {
        if reached.insert(node.clone()) {
            open.extend(graph.get(node).into_iter().flatten());
        }
    }
    reached
}
