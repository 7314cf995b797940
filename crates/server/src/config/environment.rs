//! The environment as a layer of the config: `RJABBERD_LISTEN__C2S__TLS` is `listen.c2s.tls`. Knows no key but by
//! asking the schema.
//!
//! Passed over: an empty value (compose files pass `${VAR:-}` that way), and what orchestrators inject for a service
//! that is called rjabberd (`*_SERVICE_HOST`, `*_PORT`, `*_PORT_*`).

use std::ffi::OsString;

use super::entry::{Entries, Entry, Origin, Written};
use super::schema;

/// Variables with this prefix are ours.
const PREFIX: &str = "RJABBERD_";
/// Ours, but read by the command line and not a key.
pub(crate) const CONFIG: &str = "RJABBERD_CONFIG";

/// Adds the variables to the entries, replacing what the file said. Faults are one line each.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    entries: &mut Entries,
    faults: &mut Vec<String>,
) {
    let mut ours: Vec<(String, OsString)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && name != CONFIG && !value.is_empty())
        .collect();
    // An environment has no order; the faults should.
    ours.sort();
    for (name, value) in ours {
        let path = path_of(&name);
        if schema::find(&path).is_none() {
            if !is_injected(&name) {
                let question = question(&path);
                faults.push(format!("{name}: unknown environment variable{question}"));
            }
            continue;
        }
        match value.into_string() {
            Ok(text) => {
                forget_other_form(&path, entries);
                let origin = Origin::Environment(name);
                entries.insert(path, Entry { written: Written::Bare(text), origin });
            }
            Err(_) => faults.push(format!("{name}: the value is not UTF-8")),
        }
    }
}

fn path_of(name: &str) -> Vec<String> {
    name[PREFIX.len()..].to_lowercase().split("__").map(str::to_owned).collect()
}

/// A secret of the environment replaces that of the file, whichever of the two forms (value, `_file`) each has.
fn forget_other_form(path: &[String], entries: &mut Entries) {
    let Some((last, before)) = path.split_last() else { return };
    let other = match last.strip_suffix("_file") {
        Some(value) => value.to_owned(),
        None => format!("{last}_file"),
    };
    let mut other_path = before.to_vec();
    other_path.push(other);
    if matches!(entries.get(&other_path), Some(Entry { origin: Origin::File { .. }, .. })) {
        entries.remove(&other_path);
    }
}

fn is_injected(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") || name.contains("_PORT_")
}

fn question(path: &[String]) -> String {
    let question = schema::question(path);
    match question.split('"').nth(1) {
        Some(key) => {
            let name = key.to_uppercase().replace('.', "__");
            format!(": did you mean {PREFIX}{name}?")
        }
        None => question,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let mut entries = Entries::new();
        let mut faults = Vec::new();
        read(variables.iter().map(|(n, v)| (n.into(), v.into())), &mut entries, &mut faults);
        let found = entries
            .into_iter()
            .map(|(path, entry)| match entry.written {
                Written::Bare(text) => (path.join("."), text),
                other => panic!("{other:?}"),
            })
            .collect();
        (found, faults)
    }

    #[test]
    fn a_variable_names_a_key_by_its_path() {
        let (found, faults) = check(&[
            ("RJABBERD_LISTEN__C2S__REQUIRE_TLS", "false"),
            ("RJABBERD_HOSTS", "a.example,b.example"),
        ]);
        assert_eq!(
            found,
            [
                ("hosts".to_owned(), "a.example,b.example".to_owned()),
                ("listen.c2s.require_tls".to_owned(), "false".to_owned())
            ]
        );
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn what_an_orchestrator_injects_is_passed_over() {
        let (found, faults) = check(&[
            ("RJABBERD_SERVICE_HOST", "10.0.0.1"),
            ("RJABBERD_SERVICE_PORT", "5222"),
            ("RJABBERD_SERVICE_PORT_XMPP", "5222"),
            ("RJABBERD_PORT", "tcp://10.0.0.1:5222"),
            ("RJABBERD_PORT_5222_TCP_ADDR", "10.0.0.1"),
            ("RJABBERD_DB_SERVICE_HOST", "10.0.0.2"),
            ("RJABBERD_CONFIG", "/x.toml"),
            ("RJABBERD_DATA", ""),
            ("HOSTS", "not ours"),
        ]);
        assert_eq!(found, []);
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn an_unknown_variable_is_refused_with_what_was_meant() {
        let (_, faults) = check(&[("RJABBERD_HOST", "a"), ("RJABBERD_LISTEN__C2S__REQUIRETLS", "false")]);
        assert_eq!(
            faults,
            [
                "RJABBERD_HOST: unknown environment variable: did you mean RJABBERD_HOSTS?",
                "RJABBERD_LISTEN__C2S__REQUIRETLS: unknown environment variable: \
                 did you mean RJABBERD_LISTEN__C2S__REQUIRE_TLS?"
            ]
        );
    }

    #[test]
    fn a_secret_file_of_the_environment_replaces_the_secret_of_the_file() {
        let mut entries = super::super::file::read("x.toml", "store = \"sqlite\"").unwrap();
        read([("RJABBERD_STORE_FILE".into(), "/run/secret".into())], &mut entries, &mut Vec::new());
        assert_eq!(entries.keys().map(|path| path.join(".")).collect::<Vec<_>>(), ["store_file"]);
    }
}
