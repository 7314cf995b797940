//! The virtual hosts of a config, with the overrides of `[host."…"]` applied.

use rjabberd_xmpp::address::normalise_domain;
use rjabberd_xmpp::sasl::Mechanism;

use super::contact;
use super::settings::{CertificateFiles, Host};
use super::suggestion;
use super::values::{Found, Values};

/// The mechanisms where nobody chose, strongest first.
const MECHANISMS: [&str; 4] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"];

/// Builds the hosts; faults are noted in `values`.
pub(super) fn build(values: &mut Values) -> Vec<Host> {
    let domains = domains(values);
    let overrides = overrides(values, &domains);
    let registration = values.boolean_or(&["registration", "enabled"], false);
    let mechanisms = match values.texts(&["auth", "mechanisms"]) {
        Some(found) => mechanisms(values, &found),
        None => MECHANISMS.iter().filter_map(|name| Mechanism::from_name(name)).collect(),
    };
    let certificate = certificate(values, &[]);
    contact::check(values, &[]);
    domains
        .into_iter()
        .map(|domain| {
            let written = overrides.iter().find(|(normal, _)| *normal == domain);
            let own = ["host", written.map_or(domain.as_str(), |(_, written)| written)];
            let own_mechanisms = values.texts(&below(&own, &["auth", "mechanisms"]));
            Host {
                registration: values.boolean_or(&below(&own, &["registration", "enabled"]), registration),
                mechanisms: match own_mechanisms {
                    Some(found) => self::mechanisms(values, &found),
                    None => mechanisms.clone(),
                },
                certificate: self::certificate(values, &own).or_else(|| certificate.clone()),
                contact: contact::build(values, &own),
                domain,
            }
        })
        .collect()
}

fn below<'a>(table: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    [table, rest].concat()
}

fn domains(values: &mut Values) -> Vec<String> {
    let Some(found) = values.texts(&["hosts"]) else { return vec!["localhost".to_owned()] };
    let mut domains: Vec<String> = Vec::new();
    for name in &found.value {
        match normalise_domain(name) {
            Ok(domain) if domains.contains(&domain) => {
                values.fault_in(&found, &format!("{name:?} is there twice"));
            }
            Ok(domain) => domains.push(domain),
            Err(_) => {
                values.fault_in(&found, &format!("{name:?} is no domain: write it as in \"example.net\""));
            }
        }
    }
    if found.value.is_empty() {
        values.fault_in(&found, "the list is empty: name at least one domain");
    }
    domains
}

/// The names under `[host]`: normalised, and as written.
fn overrides(values: &mut Values, domains: &[String]) -> Vec<(String, String)> {
    let mut overrides: Vec<(String, String)> = Vec::new();
    for (name, origin) in values.names_under("host") {
        let normal = normalise_domain(&name).unwrap_or_else(|_| name.clone());
        if let Some(text) = fault_in_override(&normal, domains, &overrides) {
            values.fault(&origin, &["host".to_owned(), name], &text);
        } else {
            overrides.push((normal, name));
        }
    }
    overrides
}

fn fault_in_override(normal: &str, domains: &[String], overrides: &[(String, String)]) -> Option<String> {
    if !domains.iter().any(|domain| domain == normal) {
        let question = suggestion::question(normal, domains.iter().map(String::as_str));
        return Some(format!("is not one of hosts{question}"));
    }
    let (_, other) = overrides.iter().find(|(other, _)| other == normal)?;
    Some(format!("is the same host as {other:?}"))
}

fn mechanisms(values: &mut Values, found: &Found<Vec<String>>) -> Vec<Mechanism> {
    let mut mechanisms = Vec::new();
    let mut all_known = true;
    for name in &found.value {
        match Mechanism::from_name(name) {
            Some(mechanism) if mechanisms.contains(&mechanism) => {
                values.fault_in(found, &format!("{name:?} is there twice"));
            }
            Some(mechanism) => mechanisms.push(mechanism),
            None => {
                all_known = false;
                let question = suggestion::question(name, MECHANISMS);
                let text = format!("{name:?} is not one of {}{question}", MECHANISMS.join(", "));
                values.fault_in(found, &text);
            }
        }
    }
    if all_known && !mechanisms.iter().any(|mechanism| matches!(mechanism, Mechanism::Scram(_))) {
        let text = "name at least one SCRAM mechanism: only SCRAM keys are stored, never a password";
        values.fault_in(found, text);
    }
    mechanisms
}

fn certificate(values: &mut Values, table: &[&str]) -> Option<CertificateFiles> {
    let certificate = values.text(&below(table, &["tls", "certificate"]));
    let key = values.text(&below(table, &["tls", "key"]));

    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles {
            certificate: values.relative(&certificate.value, &certificate.origin),
            key: values.relative(&key.value, &key.origin),
        }),
        (Some(certificate), None) => {
            values.fault_in(&certificate, "needs tls.key beside it: the file of its private key");
            None
        }
        (None, Some(key)) => {
            values.fault_in(&key, "needs tls.certificate beside it: the file of its certificate");
            None
        }
        (None, None) => None,
    }
}
