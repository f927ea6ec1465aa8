//! Inside every crate the files import each other in one direction.
//!
//! `pub use` in `lib.rs` and `mod.rs` re-exports and does not count as an import; a file `x.rs` and the files
//! in the folder `x/` count as one.

use crate::support::repo;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Source folders, each of one crate.
const CRATES: [&str; 20] = [
    "schemas/src",
    "store/src",
    "pipeline/src",
    "pipeline/links/src",
    "pipeline/kernels/src",
    "pipeline/blip/src",
    "pipeline/train/src",
    "demo/generator/src",
    "pipeline/export/src",
    "pipeline/endpoint/src",
    "pipeline/evaluate/src",
    "workers/src",
    "coordinator/src",
    "coordinator/bootstrap/src",
    "console/src",
    "report/src",
    "runtime/src",
    "benches/measure/src",
    "report/live/src",
    "src",
];

/// A module's path below its crate: `dispatch::queue` is `["dispatch", "queue"]`.
type Module = Vec<String>;

/// One source file.
struct Source {
    path: PathBuf,
    uses: Vec<Use>,
    /// Modules declared in the file.
    modules: BTreeSet<String>,
}

/// One imported path.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    is_public: bool,
    pub path: Vec<String>,
    name: String,
}

#[test]
fn files_of_a_crate_import_each_other_in_one_direction() {
    let mut circles = Vec::new();
    for source_folder in CRATES {
        let files = files_of(&repo().join(source_folder));
        assert!(files.len() > 5, "{source_folder} has {} files", files.len());
        let imports = imports(&files);
        let (order, found) = order(imports);
        println!("{source_folder}: {}", order.join(" < "));
        circles.extend(found.into_iter().map(|file| format!("{source_folder} {file}")));
    }
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_of_imports_is_found() {
    let file = |text: &str, path: &str| {
        let text = code(text);
        Source { path: path.into(), uses: uses_in(&text), modules: modules_in(&text) }
    };
    let name = |name: &str| if name.is_empty() { Vec::new() } else { vec![name.to_owned()] };
    let files = |of_a: &str| {
        BTreeMap::from([
            (name(""), file("mod a;\nmod b;\npub use b::{Thing as Renamed};", "lib.rs")),
            (name("a"), file(of_a, "a.rs")),
            (name("b"), file("use super::a::{self, Other};\npub struct Thing;", "b.rs")),
        ])
    };
    let left = |of_a: &str| order(imports(&files(of_a))).1;
    assert_eq!(left("use std::fmt;"), Vec::<String>::new());
    assert_eq!(left("use crate::Renamed;"), ["a: b", "b: a"]);
    assert_eq!(left("fn f() { crate::b::g() }"), ["a: b", "b: a"]);
    assert_eq!(left("// use crate::b;\n#[cfg(test)]\nmod tests { use crate::b; }"), Vec::<String>::new());
}

fn files_of(folder: &Path) -> BTreeMap<Module, Source> {
    let root =
        ["lib.rs", "main.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.exists()).unwrap();
    let mut files = BTreeMap::new();
    read(&root, Vec::new(), &mut files);
    files
}

fn read(path: &Path, module: Module, files: &mut BTreeMap<Module, Source>) {
    let text = code(&fs::read_to_string(path).unwrap());
    let modules = modules_in(&text);
    let folder = if is_index(path) { path.parent().unwrap().to_owned() } else { path.with_extension("") };
    for name in &modules {
        let candidates = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        if let Some(found) = candidates.iter().find(|candidate| candidate.exists()) {
            read(found, [module.clone(), vec![name.clone()]].concat(), files);
        }
    }
    files.insert(module, Source { path: path.to_owned(), uses: uses_in(&text), modules });
}

/// Whether the file's submodules lie beside it.
fn is_index(path: &Path) -> bool {
    ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| path.ends_with(name))
}

/// The text without comments and without what only tests compile: a line after `#[cfg(test)]`, or the rest of
/// the file where a module begins there.
pub fn code(text: &str) -> String {
    let mut lines = text.lines().map(|line| line.split("//").next().unwrap());
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let item = lines.find(|line| !line.trim().starts_with("#["));
        if item.is_some_and(|item| item.starts_with("mod ") && item.trim().ends_with('{')) {
            break;
        }
    }
    kept.join("\n")
}

fn modules_in(text: &str) -> BTreeSet<String> {
    let statements = text.split([';', '{', '}']).map(str::trim);
    let named = statements.filter_map(|statement| statement.rsplit_once("mod ").map(|(_, name)| name.trim()));
    named.filter(|name| is_identifier(name)).map(str::to_owned).collect()
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Paths that the file imports, and paths from `crate` or `super` in its code.
pub fn uses_in(text: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let mut rest = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("use ") {
        let start = at + found;
        let line = text[..start].rsplit('\n').next().unwrap().trim();
        let is_statement = line.is_empty() || (line.starts_with("pub") && !line.contains(' '));
        let Some(end) = text[start..].find(';').filter(|_| is_statement) else {
            rest.push_str(&text[at..start + 4]);
            at = start + 4;
            continue;
        };
        rest.push_str(&text[at..start]);
        flatten(&text[start + 4..start + end], &[], line.starts_with("pub"), &mut uses);
        at = start + end;
    }
    rest.push_str(&text[at..]);
    for word in rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        let path: Vec<String> = word.split("::").map(str::to_owned).collect();
        if path.len() > 1 && ["crate", "super"].contains(&path[0].as_str()) {
            uses.push(Use { is_public: false, name: path[path.len() - 1].clone(), path });
        }
    }
    uses
}

/// Takes a use tree apart: `a::{b, c as d}` is `a::b` and `a::c`.
fn flatten(tree: &str, prefix: &[String], is_public: bool, uses: &mut Vec<Use>) {
    let tree = tree.trim();
    let segments = |text: &str| text.split("::").map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    if let Some(group) = tree.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return branches(group).into_iter().for_each(|branch| flatten(branch, prefix, is_public, uses));
    }
    if let Some((head, group)) = tree.split_once("::{") {
        let prefix = [prefix, &segments(head)].concat();
        return flatten(&format!("{{{group}"), &prefix, is_public, uses);
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let mut path = [prefix, &segments(path)].concat();
    path.retain(|segment| !segment.is_empty());
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last() else { return };
    let name = if alias.is_empty() { last.clone() } else { alias.trim().to_owned() };
    uses.push(Use { is_public, path, name });
}

/// The parts of a group between its outermost commas.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&group[start..]);
    found.into_iter().filter(|branch| !branch.trim().is_empty()).collect()
}

/// For every file, the files that it imports.
fn imports(files: &BTreeMap<Module, Source>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut imports = BTreeMap::<Module, BTreeSet<Module>>::new();
    for (module, source) in files {
        let of = unit(files, module);
        let counted = source.uses.iter().filter(|one| !(one.is_public && is_index(&source.path)));
        let found = counted.filter_map(|one| defining(files, module, &one.path, 0));
        let found: BTreeSet<Module> =
            found.map(|found| unit(files, &found)).filter(|found| *found != of).collect();
        imports.entry(of).or_default().extend(found);
    }
    imports
}

/// The main file of a module: of `x.rs` and `x/y.rs` the first.
fn unit(files: &BTreeMap<Module, Source>, module: &Module) -> Module {
    let above = (1..module.len()).map(|length| module[..length].to_vec());
    above.into_iter().find(|above| !is_index(&files[above].path)).unwrap_or_else(|| module.clone())
}

/// The module in which the item at the end of a path is defined; `None` for a path that leads out of the
/// crate.
fn defining(files: &BTreeMap<Module, Source>, from: &Module, path: &[String], depth: u32) -> Option<Module> {
    let (mut module, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
        }
        name if files[from].modules.contains(name) => (from.clone(), path),
        _ => return None,
    };
    while let Some((name, after)) = rest.split_first() {
        let inner = [module.clone(), vec![name.clone()]].concat();
        if files.contains_key(&inner) {
            (module, rest) = (inner, after);
            continue;
        }
        let reexport = files[&module].uses.iter().find(|one| one.name == *name && one.path != path);
        let Some(reexport) = reexport.filter(|_| depth < 8) else { return Some(module) };
        let found = defining(files, &module, &reexport.path, depth + 1)?;
        let rest = [vec!["self".to_owned()], after.to_vec()].concat();
        return defining(files, &found, &rest, depth + 1);
    }
    Some(module)
}

/// The files so that each comes after those it imports; and the files of circles, each with what it imports
/// there.
fn order(mut imports: BTreeMap<Module, BTreeSet<Module>>) -> (Vec<String>, Vec<String>) {
    let shown = |module: &Module| if module.is_empty() { "(root)".to_owned() } else { module.join("::") };
    let mut order = Vec::new();
    while let Some(file) = imports.iter().find(|(_, of)| of.is_empty()).map(|(file, _)| file.clone()) {
        remove(&mut imports, &file);
        order.push(shown(&file));
    }
    // What imports a circle without being imported by it is not part of it.
    while let Some(file) = imports.keys().find(|file| !imports.values().any(|of| of.contains(*file))).cloned()
    {
        remove(&mut imports, &file);
    }
    let circles = imports.iter().map(|(file, of)| {
        let of: Vec<String> = of.iter().map(shown).collect();
        format!("{}: {}", shown(file), of.join(", "))
    });
    (order, circles.collect())
}

fn remove(imports: &mut BTreeMap<Module, BTreeSet<Module>>, file: &Module) {
    imports.remove(file);
    for of in imports.values_mut() {
        of.remove(file);
    }
}
