//! House rules that no compiler checks: arrows between crates, purity, heads of modules, links, names that must not be.

#![expect(clippy::unwrap_used, reason = "in a test, a wrong shape of what is read is a failure")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file that is, or is about to be, in the repository, relative to the root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).unwrap();
    listed.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect()
}

fn files_ending(end: &str) -> Vec<(String, String)> {
    let named = files().into_iter().filter(|path| path.ends_with(end));
    named.map(|path| (read(&path), path)).map(|(text, path)| (path, text)).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// What a manifest says that a crate depends on: ours by their short name, others by their own.
struct Dependencies {
    ours: BTreeSet<String>,
    others: BTreeSet<String>,
}

/// The crates of the workspace by short name (`rjabberd` itself is `server`); dependencies for tests are left out.
fn manifests() -> BTreeMap<String, Dependencies> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let mut dependencies = Dependencies { ours: BTreeSet::new(), others: BTreeSet::new() };
            for dependency in package["dependencies"].as_array().unwrap() {
                let name = dependency["name"].as_str().unwrap();
                if dependency["kind"].as_str() == Some("dev") {
                    continue;
                }
                match short_name(name) {
                    Some(name) => dependencies.ours.insert(name),
                    None => dependencies.others.insert(name.to_owned()),
                };
            }
            (short_name(package["name"].as_str().unwrap()).unwrap(), dependencies)
        })
        .collect()
}

fn short_name(package: &str) -> Option<String> {
    match package {
        "rjabberd" => Some("server".to_owned()),
        name => name.strip_prefix("rjabberd_").map(|name| name.replace('_', "-")),
    }
}

/// The table of docs/architecture.md: crate, ring, what it uses.
fn declared() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = read("docs/architecture.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ticked = |cell: &str| -> BTreeSet<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let name = ticked(cells[1]).into_iter().next().expect("a crate in ticks");
        (name, (cells[2].to_owned(), ticked(cells[3])))
    })
    .collect()
}

#[test]
fn arrows_between_crates_are_those_of_the_architecture() {
    let (manifests, declared) = (manifests(), declared());
    let mut faults = Vec::new();
    for (name, dependencies) in &manifests {
        match declared.get(name) {
            None => faults.push(format!("{name} is not in the table of docs/architecture.md")),
            Some((_, uses)) if *uses != dependencies.ours => {
                faults.push(format!("{name} uses {:?}, the table says {uses:?}", dependencies.ours));
            }
            Some(_) => {}
        }
    }
    for name in declared.keys().filter(|name| !manifests.contains_key(*name)) {
        faults.push(format!("{name} is in the table and no crate"));
    }
    none(&faults);
}

#[test]
fn arrows_point_down_only() {
    let order = ["pure", "actors", "services", "edge", "tests"];
    let declared = declared();
    let mut faults = Vec::new();
    for (name, (ring, uses)) in &declared {
        if !order.contains(&ring.as_str()) {
            faults.push(format!("{name}: there is no ring {ring:?}"));
        }
        for used in uses {
            let other =
                &declared.get(used).unwrap_or_else(|| panic!("{name} uses {used}, which has no row")).0;
            if other == "edge" || other == "tests" || (ring == "pure" && other != "pure") {
                faults.push(format!("{name} ({ring}) uses {used} ({other})"));
            }
        }
    }
    // No circles: taking away crates that use nothing that is left must end with none left.
    let mut left: BTreeMap<&String, &BTreeSet<String>> =
        declared.iter().map(|(name, (_, uses))| (name, uses)).collect();
    loop {
        let bottom: Vec<&String> = left
            .iter()
            .filter(|(_, uses)| !uses.iter().any(|used| left.contains_key(used)))
            .map(|(name, _)| *name)
            .collect();
        if bottom.is_empty() {
            break;
        }
        for name in bottom {
            left.remove(name);
        }
    }
    faults.extend(left.keys().map(|name| format!("{name} is in a circle")));
    none(&faults);
}

#[test]
fn nothing_but_the_wiring_depends_on_c2s() {
    let users: Vec<_> =
        manifests().into_iter().filter(|(_, one)| one.ours.contains("c2s")).map(|(name, _)| name).collect();
    assert!(users.iter().all(|name| name == "server"), "{users:?}");
}

#[test]
fn pure_crates_reach_no_runtime_no_clock_and_no_system() {
    const CRATES: [&str; 9] =
        ["tokio", "actix", "actix-rt", "rustls", "socket2", "mio", "log", "getrandom", "rand"];
    // Reading from memory through `std::io::Read` and writing an address down as `std::net::IpAddr` reach nothing.
    const PATHS: [&str; 13] = [
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "UnixStream",
        "ToSocketAddrs",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "tokio::",
        "actix::",
    ];
    let mut faults = Vec::new();
    let (manifests, declared) = (manifests(), declared());
    let pure: Vec<&String> =
        declared.iter().filter(|(_, (ring, _))| ring == "pure").map(|(name, _)| name).collect();
    assert!(pure.len() >= 3, "{pure:?}");
    for name in pure {
        let bad = manifests[name].others.iter().filter(|other| CRATES.contains(&other.as_str()));
        faults.extend(bad.map(|other| format!("{name} depends on {other}")));
        for (path, text) in files_ending(".rs") {
            if !path.starts_with(&format!("crates/{name}/src/")) || path.ends_with("tests.rs") {
                continue;
            }
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for (index, line) in code.lines().enumerate() {
                let line_code = line.split("//").next().unwrap();
                let bad = PATHS.iter().filter(|word| line_code.contains(**word));
                faults.extend(bad.map(|word| format!("{path}:{}: {word}", index + 1)));
            }
        }
    }
    none(&faults);
}

#[test]
fn only_the_actor_ring_knows_actix() {
    let declared = declared();
    let ring = |name: &str| declared.get(name).map_or("", |(ring, _)| ring.as_str());
    let mut faults: Vec<String> = manifests()
        .into_iter()
        .filter(|(name, one)| {
            one.others.iter().any(|other| other.starts_with("actix"))
                && !["actors", "edge"].contains(&ring(name))
                // It measures what actors cost, so it has some.
                && name != "references"
        })
        .map(|(name, _)| format!("{name} depends on actix"))
        .collect();
    // The edge may run the system that the actors live in, and nothing else of it.
    for (path, text) in files_ending(".rs").into_iter().filter(|(path, _)| path.starts_with("crates/server/"))
    {
        let others = text.matches("actix::").count() - text.matches("actix::System").count();
        if others > 0 || text.contains("actix_rt::") {
            faults.push(format!("{path} uses actix"));
        }
    }
    none(&faults);
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    let faults: Vec<String> = files_ending(".rs")
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! ") || text.starts_with("//! To be written"))
        .map(|(path, _)| format!("{path}: no head"))
        .collect();
    none(&faults);
}

#[test]
fn nothing_unsafe_is_written() {
    let word = concat!("un", "safe ");
    let faults: Vec<String> = files_ending(".rs")
        .into_iter()
        .filter(|(_, text)| text.contains(&format!("{word}{{")) || text.contains(&format!("{word}fn")))
        .map(|(path, _)| path)
        .collect();
    none(&faults);
}

/// The anchors that the headings of a document make.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_in_docs_resolve() {
    let mut faults = Vec::new();
    for (path, text) in files_ending(".md") {
        let folder = Path::new(&path).parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { root().join(&path) } else { root().join(folder).join(file) };
            let Ok(linked_path) = linked.canonicalize() else {
                faults.push(format!("{path}: {target} does not exist"));
                continue;
            };
            if !anchor.is_empty() && !anchors(&fs::read_to_string(linked_path).unwrap()).contains(anchor) {
                faults.push(format!("{path}: {target} has no such heading"));
            }
        }
    }
    none(&faults);
}

#[test]
fn paths_named_in_docs_exist() {
    let mut faults = Vec::new();
    for (path, text) in files_ending(".md") {
        for ticked in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["crates/", "scripts/", "docs/", ".ci/", "fuzz/"].iter().any(|top| ticked.starts_with(top));
            let plain = !ticked.contains([' ', '*', '<', '\n', '…']);
            if is_path && plain && !root().join(ticked).exists() {
                faults.push(format!("{path}: {ticked} does not exist"));
            }
        }
    }
    none(&faults);
}

#[test]
fn no_file_names_a_registry_a_machine_or_the_way_it_was_made() {
    // Written in two halves, so that this file may stand in the list of files too.
    let words: Vec<String> = [
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npmjs", ".org"),
        ("deb.debian", ".org"),
        ("/ro", "ot/"),
        ("/wo", "rk/"),
        ("/ho", "me/"),
        ("/Us", "ers/"),
        ("chat", "gpt"),
        ("anthro", "pic"),
        ("clau", "de"),
        ("copi", "lot"),
        ("open", "ai"),
        ("language", " model"),
        ("ll", "m-"),
        ("ai-", "generated"),
        ("house", ".md"),
        ("sub", "agent"),
    ]
    .iter()
    .map(|(left, right)| format!("{left}{right}"))
    .collect();
    let mut faults = Vec::new();
    for path in files() {
        // The format of a lock file is cargo's own; licences are quoted.
        if path == "Cargo.lock" || path.starts_with("LICENSE") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let bad = words.iter().filter(|word| line.contains(&word.to_lowercase()));
            faults.extend(bad.map(|word| format!("{path}:{}: {word}", index + 1)));
        }
    }
    none(&faults);
}

#[test]
fn fences_that_print_commands_say_whether_they_are_run() {
    // scripts/readme runs `sh`, and types `text profanity`, word for word, in README.md alone; elsewhere commands are
    // shown as `console`.
    let mut faults = Vec::new();
    for (path, text) in files_ending(".md") {
        let mut inside = false;
        for (index, line) in text.lines().enumerate() {
            let Some(kind) = line.trim_start().strip_prefix("```") else { continue };
            inside = !inside;
            if !inside {
                continue;
            }
            let in_readme = ["sh", "sh terminal", "text profanity"].contains(&kind);
            let known = ["text", "console", "toml", "xml", "rust", "python"].contains(&kind)
                || (path == "README.md" && in_readme);
            if !known {
                faults.push(format!("{path}:{}: a fence marked {kind:?}", index + 1));
            }
        }
    }
    none(&faults);
}
