//! The config file: TOML text to entries with their lines. Knows no key.

use toml::de::{DeTable, DeValue};

use super::entry::{Entries, Entry, Origin, Written};

/// Reads the text of a config file. The error is one line.
pub(crate) fn read(name: &str, text: &str) -> Result<Entries, String> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = error.message().replace('\n', ", ");
        format!("{name}:{line}: {message}")
    })?;
    let mut entries = Entries::new();
    flatten(name, text, table.get_ref(), &mut Vec::new(), &mut entries);
    Ok(entries)
}

fn flatten(name: &str, text: &str, table: &DeTable<'_>, path: &mut Vec<String>, entries: &mut Entries) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(name, text, inner, path, entries),
            other => {
                let line = line_of(text, key.span().start);
                let origin = Origin::File { name: name.to_owned(), line };
                entries.insert(path.clone(), Entry { written: written(other), origin });
            }
        }
        path.pop();
    }
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Written::Integer(number),
            Err(_) => Written::Other("a number too big for anything"),
        },
        DeValue::Float(_) => Written::Other("a number with a point"),
        DeValue::Boolean(value) => Written::Boolean(*value),
        DeValue::Datetime(_) => Written::Other("a date"),
        DeValue::Array(items) => Written::List(items.iter().map(|item| written(item.get_ref())).collect()),
        DeValue::Table(inner) if inner.is_empty() => Written::EmptyTable,
        DeValue::Table(_) => Written::Other("a table"),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_line() {
        let entries = read("x.toml", "hosts = [\"a\"]\n\n[listen.c2s]\ntls = \"direct\"\n").unwrap();
        let lines: Vec<(String, String)> =
            entries.iter().map(|(path, entry)| (path.join("."), entry.origin.to_string())).collect();
        assert_eq!(
            lines,
            [
                ("hosts".to_owned(), "x.toml:1".to_owned()),
                ("listen.c2s.tls".to_owned(), "x.toml:4".to_owned())
            ]
        );
    }

    #[test]
    fn a_table_with_nothing_in_it_is_still_there() {
        let entries = read("x.toml", "[listen.extra]\n").unwrap();
        assert_eq!(entries[&vec!["listen".to_owned(), "extra".to_owned()]].written, Written::EmptyTable);
    }

    #[test]
    fn a_syntax_error_is_one_line_with_its_place() {
        let error = read("x.toml", "hosts = [\"a\"]\ndata = \n").unwrap_err();
        assert!(error.starts_with("x.toml:2: "), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
