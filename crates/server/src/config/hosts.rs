//! The virtual hosts of a config, with the overrides of `[host."…"]` applied.

use std::path::PathBuf;

use rjabberd_xmpp::address::normalise_domain;
use rjabberd_xmpp::sasl::Mechanism;

use super::contact;
use super::mechanisms::{self, Chosen};
use super::settings::{CertificateFiles, Host};
use super::suggestion;
use super::values::{Found, Values};

/// Builds the hosts; faults are noted in `values`.
pub(super) fn build(values: &mut Values) -> Vec<Host> {
    let domains = domains(values);
    let overrides = overrides(values, &domains);
    let registration = values.boolean_or(&["registration", "enabled"], false);
    let mechanisms = mechanisms::chosen(values, &[]).unwrap_or_default();
    let certificate = certificate(values, &[]);
    contact::check(values, &[]);
    let external_ca = values.text(&["auth", "external_ca"]);
    let mut hosts = Vec::new();
    for domain in domains {
        let written = overrides.iter().find(|(normal, _)| *normal == domain);
        let own = ["host", written.map_or(domain.as_str(), |(_, written)| written)];
        let own_mechanisms = mechanisms::chosen(values, &own);
        let mechanisms = own_mechanisms.as_ref().unwrap_or(&mechanisms);
        hosts.push(Host {
            registration: values.boolean_or(&below(&own, &["registration", "enabled"]), registration),
            external_ca: self::external_ca(values, &own, mechanisms, external_ca.as_ref()),
            mechanisms: mechanisms.list.clone(),
            certificate: self::certificate(values, &own).or_else(|| certificate.clone()),
            contact: contact::build(values, &own),
            domain,
        });
    }
    if let Some(found) = &external_ca
        && hosts.iter().all(|host| !host.mechanisms.contains(&Mechanism::External))
    {
        values.fault_in(found, &format!("is for nothing: {EXTERNAL_NEEDED}"));
    }
    hosts
}

/// What is missing beside authorities.
const EXTERNAL_NEEDED: &str = "add \"EXTERNAL\" to auth.mechanisms beside it, or delete it";

/// The authorities of a host's clients: where EXTERNAL is offered, and there alone.
fn external_ca(
    values: &mut Values,
    own: &[&str],
    mechanisms: &Chosen,
    common: Option<&Found<String>>,
) -> Option<PathBuf> {
    let found = values.text(&below(own, &["auth", "external_ca"]));
    if !mechanisms.list.contains(&Mechanism::External) {
        if let Some(found) = &found {
            values.fault_in(found, &format!("is for nothing: {EXTERNAL_NEEDED}"));
        }
        return None;
    }
    match found.as_ref().or(common) {
        Some(found) => Some(values.relative(&found.value, &found.origin)),
        None => {
            if let Some(found) = &mechanisms.found {
                let text = "\"EXTERNAL\" needs auth.external_ca beside it: the file of the authorities that vouch for \
                            clients' certificates";
                values.fault_once_in(found, text);
            }
            None
        }
    }
}

pub(super) fn below<'a>(table: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
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
