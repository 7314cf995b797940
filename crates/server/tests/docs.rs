//! What the docs print works: every config in a `toml` fence is taken by `check-config`, every command is one.

use std::{fs, path::Path};

use rjabberd_testkit::Server;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// README.md and docs/*.md, with their names.
fn docs() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("docs")).expect("docs is a folder");
    let paths = folder.map(|entry| entry.expect("docs can be read").path());
    let mut texts: Vec<(String, String)> = paths
        .chain([root().join("README.md")])
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a document is text")))
        .collect();
    texts.sort();
    texts
}

/// The fences of one kind.
fn fences<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let open = format!("\n```{kind}\n");
    text.split(&open).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn every_printed_config_is_taken() {
    let mut count = 0;
    for (path, text) in docs() {
        for config in fences(&text, "toml") {
            let server = Server::stopped(config);
            let output = server.runs(&["check-config"], "");
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{path}:\n{config}\n{complaint}");
            count += 1;
        }
    }
    assert!(count > 0, "no config is printed anywhere");
}

#[test]
fn the_shipped_config_is_taken() {
    let config = fs::read_to_string(root().join("crates/server/rjabberd.toml")).expect("it is there");
    let server = Server::stopped(&config);
    let output = server.runs(&["check-config"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_printed_command_exists() {
    let server = Server::stopped("");
    let mut count = 0;
    for (path, text) in docs() {
        for ticked in text.split('`').filter(|ticked| ticked.starts_with("rjabberd ")) {
            let words: Vec<&str> = ticked.split(' ').skip(1).collect();
            let command: Vec<&str> = words
                .iter()
                .take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
                .copied()
                .collect();
            let output = server.runs(&[command.as_slice(), &["--help"]].concat(), "");
            assert!(
                output.status.success(),
                "{path}: `{ticked}`: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn the_default_of_every_key_in_the_docs_is_a_key() {
    let operations = fs::read_to_string(root().join("docs/operations.md")).expect("it is there");
    let rows = operations.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 4);
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        // Tables of commands and lines have no default; keys are written with dots or stand at the root.
        let key = cells[1].trim_matches('`');
        let is_key = !key.contains(' ') && !key.contains("NAME") && !cells[1].contains(',');
        let value = cells[2].trim_matches('`');
        let number = value.parse::<u64>().is_ok() || value == "true" || value == "false";
        if !is_key || !number {
            continue;
        }
        let server = Server::stopped(&format!("{key} = {value}\n"));
        let output = server.runs(&["check-config"], "");
        assert!(output.status.success(), "{key} = {value}: {}", String::from_utf8_lossy(&output.stderr));
        count += 1;
    }
    assert!(count > 10, "{count}");
}

/// All sources of the workspace.
fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(fs::read_to_string(&path).expect("a source is text"));
        }
    }
}

/// Whether a word is a test's name: a sentence, or one of the attacks.
fn is_test_name(word: &str) -> bool {
    let is_identifier = word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    is_identifier && (word.starts_with("attack_") || word.matches('_').count() >= 3)
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/security.md")).expect("it is there");
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|word| is_test_name(word)).collect();
    let mut texts = Vec::new();
    sources(&root().join("crates"), &mut texts);
    for name in &named {
        let head = format!("fn {name}(");
        assert!(
            texts.iter().any(|text| text.contains(&head)),
            "docs/security.md names {name}: there is none"
        );
    }
    assert!(named.len() > 40, "{named:?}");
}
