//! Reads the modules of `src/` and finds what each of them names. It splits the text into words and
//! understands `use`, paths and modules for tests; for more it would need a parser.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The name under which the root re-exports `crates/protocol`.
pub(super) const PROTOCOL: &str = "protocol";

/// The path of a module below `src/`, such as `["schedule", "reactor"]`.
pub(super) type ModulePath = Vec<String>;

/// A source file without comments, texts and tests.
pub(super) struct Module {
    /// Relative to `src/`.
    pub file: PathBuf,
    /// What it names: absolute paths below the crate's root.
    pub paths: Vec<ModulePath>,
    /// Names that it re-exports, with the absolute paths where they come from.
    pub exports: BTreeMap<String, ModulePath>,
}

/// All modules of the product below `src/`, without tests.
pub(super) fn modules() -> BTreeMap<ModulePath, Module> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    collect(&source, &mut Vec::new(), &mut files);
    let texts: BTreeMap<ModulePath, (PathBuf, Vec<String>)> = files
        .into_iter()
        .map(|(path, file)| {
            let text = std::fs::read_to_string(&file).unwrap();
            (path, (file, words(&text)))
        })
        .collect();

    // Whole files that exist for tests only: `#[cfg(test)] mod tests;`.
    let mut tests = BTreeSet::new();
    for (path, (_, words)) in &texts {
        for name in test_modules(words) {
            tests.insert([&path[..], &[name]].concat());
        }
    }

    texts
        .into_iter()
        .filter(|(path, _)| (0..=path.len()).all(|length| !tests.contains(&path[..length])))
        .map(|(path, (file, words))| {
            let file = file.strip_prefix(&source).unwrap().to_owned();
            let module = read(&path, file, without_tests(&words));
            (path, module)
        })
        .collect()
}

fn collect(folder: &Path, path: &mut ModulePath, files: &mut BTreeMap<ModulePath, PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let stem = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        if entry.is_dir() {
            path.push(stem);
            collect(&entry, path, files);
            path.pop();
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            match &*stem {
                "mod" | "lib" => files.insert(path.clone(), entry),
                "main" if path.is_empty() => None,
                _ => files.insert([&path[..], &[stem]].concat(), entry),
            };
        }
    }
}

/// Splits a source text into identifiers and single signs, without comments, texts and blanks.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => quoted_length(rest),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#\"") => raw_length(rest),
            '\'' => char_length(rest),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_');
                let word = &rest[..end.unwrap_or(rest.len())];
                words.push(word.to_owned());
                word.len()
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                words.push(first.to_string());
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    words
}

fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_length(text: &str) -> usize {
    let hashes = text[1..].find('"').unwrap();
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = hashes + 2;
    text[begin..]
        .find(&end)
        .map_or(text.len(), |index| begin + index + end.len())
}

/// The length of a character in quotes; of a lifetime only its quote.
fn char_length(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    match signs.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(1, |index| {
            // The escaped sign may be a quote itself.
            let more = usize::from(index == 0);
            2 + index + more + usize::from(more == 1 || text.as_bytes()[2 + index] == b'\'')
        }),
        Some(_) => match signs.next() {
            Some((index, '\'')) => index + 1,
            _ => 1,
        },
        None => 1,
    }
}

const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

/// The modules that are declared for tests only.
fn test_modules(words: &[String]) -> Vec<String> {
    let at = |index: usize| words.get(index).map(String::as_str);
    (0..words.len())
        .filter(|begin| is_cfg_test(words, *begin))
        .filter_map(|begin| {
            let item =
                (begin + CFG_TEST.len()..words.len()).find(|index| at(*index) == Some("mod"))?;
            let declared = item <= begin + CFG_TEST.len() + 4 && at(item + 2) == Some(";");
            declared.then(|| words[item + 1].clone())
        })
        .collect()
}

fn is_cfg_test(words: &[String], begin: usize) -> bool {
    words[begin..]
        .iter()
        .zip(CFG_TEST)
        .filter(|(word, expected)| *word == expected)
        .count()
        == CFG_TEST.len()
}

/// The words without items for tests: up to the end of a block or to a semicolon.
fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut index = 0;
    while index < words.len() {
        if !is_cfg_test(words, index) {
            kept.push(words[index].clone());
            index += 1;
            continue;
        }
        index += CFG_TEST.len();
        let mut depth = 0;
        while index < words.len() {
            match &*words[index] {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ends = matches!(&*words[index], "}" | ";") && depth == 0;
            index += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

/// Finds what a module names and what it re-exports.
fn read(path: &ModulePath, file: PathBuf, words: Vec<String>) -> Module {
    let mut module = Module {
        file,
        paths: Vec::new(),
        exports: BTreeMap::new(),
    };
    let children = declared_modules(&words);
    let mut index = 0;
    while index < words.len() {
        if words[index] == "use" {
            let end = index + words[index..].iter().position(|word| word == ";").unwrap();
            // `use`, `pub use` or `pub(crate) use`.
            let public = index > 0 && matches!(&*words[index - 1], "pub" | ")");
            for (alias, used) in expand(&words[index + 1..end]) {
                let Some(used) = absolute(path, &children, &used) else {
                    continue;
                };
                if public {
                    module.exports.insert(alias, used);
                } else {
                    module.paths.push(used);
                }
            }
            index = end;
        } else if index == 0 || words[index - 1] != ":" {
            let used: ModulePath = path_at(&words, index);
            if used.len() > 1 {
                module.paths.extend(absolute(path, &children, &used));
            }
        }
        index += 1;
    }

    // A re-export within a folder is no use by this file: a path that names it leads to its origin.
    let foreign = |used: &&ModulePath| used.first() != path.first();
    let exported: Vec<ModulePath> = module.exports.values().filter(foreign).cloned().collect();
    module.paths.extend(exported);
    module
}

/// The modules that a file declares.
fn declared_modules(words: &[String]) -> BTreeSet<String> {
    words
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";")
        .map(|three| three[1].clone())
        .collect()
}

/// The path of names that begins at a word: `crate::spec::Spec`.
fn path_at(words: &[String], begin: usize) -> ModulePath {
    let mut path = vec![words[begin].clone()];
    let mut index = begin + 1;
    while words.get(index).is_some_and(|word| word == ":")
        && words.get(index + 1).is_some_and(|word| word == ":")
        && words.get(index + 2).is_some_and(|word| is_name(word))
    {
        path.push(words[index + 2].clone());
        index += 3;
    }
    path
}

fn is_name(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// Expands the tree of a `use` to its names and their paths: `a::{b, c as d}` to `b`: `a::b` and
/// `d`: `a::c`.
fn expand(tree: &[String]) -> Vec<(String, ModulePath)> {
    let mut prefix = ModulePath::new();
    let mut index = 0;
    while index < tree.len() {
        match &*tree[index] {
            "{" => {
                let inner = &tree[index + 1..tree.len() - 1];
                return split(inner)
                    .into_iter()
                    .flat_map(expand)
                    .map(|(alias, path)| (alias, [&prefix[..], &path].concat()))
                    .collect();
            }
            "as" => return vec![(tree[index + 1].clone(), prefix)],
            ":" => {}
            word => prefix.push(word.to_owned()),
        }
        index += 1;
    }
    let Some(last) = prefix.last().cloned() else {
        return Vec::new();
    };
    if last == "self" {
        prefix.pop();
        let alias = prefix.last().cloned().unwrap_or_default();
        return vec![(alias, prefix)];
    }
    vec![(last, prefix)]
}

/// Splits at the commas outside of braces.
fn split(tree: &[String]) -> Vec<&[String]> {
    let mut parts = Vec::new();
    let mut depth = 0;
    let mut begin = 0;
    for (index, word) in tree.iter().enumerate() {
        match &**word {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tree[begin..index]);
                begin = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[begin..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// A path below the crate's root, or none for those of other crates.
fn absolute(
    module: &ModulePath,
    children: &BTreeSet<String>,
    path: &[String],
) -> Option<ModulePath> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let (base, rest): (&[String], &[String]) = match &*path[0] {
        "crate" => (&[], &path[1..]),
        "self" => (module, &path[1..]),
        "pentagrid_protocol" => return Some([&[PROTOCOL.to_owned()], &path[1..]].concat()),
        "super" => (&module[..module.len().checked_sub(ups)?], &path[ups..]),
        first if children.contains(first) => (module, path),
        _ => return None,
    };
    Some([base, rest].concat())
}

#[test]
fn names_are_found_in_uses_and_paths() {
    let text = r##"
        //! Not `crate::comment::X`.
        use std::path::Path;
        use super::{a::B, c::{self, D as E}};
        pub use child::{F, G};
        mod child;
        const TEXT: &str = "crate::text::X";
        const RAW: &str = r#"crate::"raw"::X"#;
        const QUOTES: [char; 2] = ['"', '\''];
        fn h<'a>(i: &'a crate::j::K) { child::l(crate::m::n::<u8>) }
        #[cfg(test)]
        mod tests { use crate::tested::X; }
        fn o() { self::child::p() }
    "##;
    let module = ["top".to_owned(), "here".to_owned()].to_vec();
    let read = read(&module, PathBuf::new(), without_tests(&words(text)));

    let found: Vec<String> = read.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "top::a::B",
            "top::c",
            "top::c::D",
            "j::K",
            "top::here::child::l",
            "m::n",
            "top::here::child::p"
        ]
    );
    let exported: Vec<(&str, String)> = read
        .exports
        .iter()
        .map(|(name, path)| (&**name, path.join("::")))
        .collect();
    assert_eq!(
        exported,
        [
            ("F", "top::here::child::F".to_owned()),
            ("G", "top::here::child::G".to_owned())
        ]
    );
}
