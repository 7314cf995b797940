//! Lines of code and tests of each crate, the longest functions and files: figures to look at, no rule.
//!
//! To be started in the root of the repository; scripts/test does.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A function over this many lines, or a file over that many without its tests, is a question to answer.
const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 500;

#[derive(Default)]
struct Sizes {
    code: usize,
    tests: usize,
    test_count: usize,
}

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    collect(Path::new("crates"), &mut files)?;
    files.sort();
    let mut crates: BTreeMap<String, Sizes> = BTreeMap::new();
    let (mut long_files, mut functions) = (Vec::new(), Vec::new());
    for path in &files {
        let text = fs::read_to_string(path)?;
        let name = path
            .components()
            .nth(1)
            .map_or_else(String::new, |part| part.as_os_str().to_string_lossy().into());
        let all_tests =
            !path.components().any(|part| part.as_os_str() == "src") || path.ends_with("tests.rs");
        let code = match text.find("#[cfg(test)]\nmod tests {") {
            _ if all_tests => "",
            Some(at) => &text[..at],
            None => &text,
        };
        let lines = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        let sizes = crates.entry(name).or_default();
        sizes.code += lines(code);
        sizes.tests += lines(&text) - lines(code);
        sizes.test_count += text.matches("#[test]").count() + text.matches("#[actix_rt::test]").count();
        sizes.test_count += text.matches("#[tokio::test").count() + text.matches("#[actix::test]").count();
        long_files.push((lines(code), path.display().to_string()));
        functions.extend(
            function_lengths(code)
                .into_iter()
                .map(|(length, name)| (length, path.display().to_string(), name)),
        );
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:<18}{:>8}{:>8}{:>8}", "crate", "code", "tests", "count")?;
    for (name, sizes) in &crates {
        writeln!(out, "{name:<18}{:>8}{:>8}{:>8}", sizes.code, sizes.tests, sizes.test_count)?;
    }
    let sum = |field: fn(&Sizes) -> usize| crates.values().map(field).sum::<usize>();
    writeln!(out, "{:<18}{:>8}{:>8}{:>8}", "all", sum(|s| s.code), sum(|s| s.tests), sum(|s| s.test_count))?;
    long_files.sort_by(|one, other| other.cmp(one));
    functions.sort_by(|one, other| other.cmp(one));
    writeln!(out, "\nlongest files without their tests (a question from {FILE_LINES} on):")?;
    for (length, path) in long_files.iter().take(5) {
        writeln!(out, "{length:>6}  {path}")?;
    }
    writeln!(out, "\nlongest functions (a question from {FUNCTION_LINES} on):")?;
    for (length, path, name) in functions.iter().take(8) {
        writeln!(out, "{length:>6}  {path}: {name}")?;
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Each function with its length, by indentation: rustfmt closes it at the column where it began.
fn function_lengths(code: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut lengths = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = trimmed.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()) else {
            continue;
        };
        let before = trimmed.split("fn ").next().unwrap_or_default();
        let is_function =
            ["", "pub ", "pub(crate) ", "pub(super) ", "async ", "pub async ", "const ", "pub const "];
        if !is_function.contains(&before) || trimmed.ends_with([';', '}']) {
            continue;
        }
        let indent = line.len() - trimmed.len();
        let close = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|line| **line == close) {
            lengths.push((length + 1, name.to_owned()));
        }
    }
    lengths
}
