//! `docs/reliability.md` and the tests: each test that the page names exists.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_test_behind_a_promise_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let mut sources = Vec::new();
    for folder in ["src", "tests", "crates"] {
        collect(&root.join(folder), &mut sources);
    }

    let named: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|name| name.contains("::"))
        .collect();
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !sources.iter().any(|source| source.has(name)))
        .collect();
    assert!(missing.is_empty(), "docs/reliability.md names {missing:#?}");
    assert!(named.len() > 100, "{named:?}");
}

/// What a file of tests holds.
struct Source {
    /// The modules that it declares or belongs to.
    modules: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl Source {
    /// Whether this file has the test `module::test` or `module::beginning_of_a_test...`, or is of
    /// the module that `module::tests` or `module::*` names. A name without a module may be in any
    /// file: it belongs to the module of the name before it.
    fn has(&self, name: &str) -> bool {
        let (modules, test) = name.rsplit_once("::").unwrap();
        let module = modules.rsplit("::").next().unwrap();
        let found = match test.strip_suffix("...") {
            Some(beginning) => self
                .functions
                .iter()
                .any(|name| name.starts_with(beginning)),
            None => test == "*" || self.functions.contains(test) || self.modules.contains(test),
        };
        found && (module.is_empty() || self.modules.contains(module))
    }
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let parents = path.with_extension("");
            let parents = parents
                .iter()
                .map(|part| part.to_string_lossy().into_owned());
            sources.push(Source {
                modules: names_after(&text, "mod ").chain(parents).collect(),
                functions: names_after(&text, "fn ").collect(),
            });
        }
    }
}

/// The names that follow a keyword.
fn names_after<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(keyword).skip(1).map(|rest| {
        let end = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    })
}
