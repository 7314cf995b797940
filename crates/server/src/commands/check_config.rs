//! `rjabberd check-config`: whether the server would take this config, and what it would come to.
//!
//! The config itself was read by then; here are the files that it names. Opens no port and no data folder, so that it
//! can be asked while the server runs, and in a build.

use std::process::ExitCode;
use std::time::SystemTime;

use super::{complain, say};
use crate::certificate;
use crate::config::{Config, Host, Listener, ListenerTls, StoreKind};

/// Prints `OK` and what matters, or each fault on a line of its own.
pub(crate) fn check_config(config: &Config) -> ExitCode {
    let certificate::Checked { faults, warnings } = certificate::check(&config.hosts, SystemTime::now());
    for warning in config.warnings.iter().chain(&warnings) {
        complain(&format!("warning: {warning}"));
    }
    if !faults.is_empty() {
        faults.iter().for_each(|fault| complain(fault));
        return ExitCode::FAILURE;
    }
    describe(config).iter().for_each(|line| say(line));
    ExitCode::SUCCESS
}

fn describe(config: &Config) -> Vec<String> {
    let source = match &config.file {
        Some(file) => file.display().to_string(),
        None => "no config file: defaults and environment".to_owned(),
    };
    let mut lines = vec![format!("OK ({source})")];
    lines.extend(config.hosts.iter().map(host));
    lines.extend(config.listeners.iter().map(listener));
    lines.push(format!("data: {}", config.data.display()));
    if let StoreKind::Postgres(url) = &config.store {
        lines.push(format!("store: PostgreSQL at {url}"));
    }
    lines
}

fn host(host: &Host) -> String {
    let mechanisms: Vec<&str> = host.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    let certificate = match &host.certificate {
        Some(files) => files.certificate.display().to_string(),
        None => "self-signed".to_owned(),
    };
    let registration = if host.registration { "on" } else { "off" };
    format!(
        "host {}: {}, certificate {certificate}, registration {registration}",
        host.domain,
        mechanisms.join(" ")
    )
}

fn listener(listener: &Listener) -> String {
    let tls = match listener.tls {
        ListenerTls::StartTls { required: true } => "STARTTLS required",
        ListenerTls::StartTls { required: false } => "STARTTLS offered, not required",
        ListenerTls::Direct => "direct TLS",
        ListenerTls::None => "no TLS",
    };
    let shaper = listener.shaper.as_deref().unwrap_or("none");
    format!("listen.{}: {}, {tls}, shaper {shaper}", listener.name, listener.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn a_config_is_told_in_a_few_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, "data = \"/d\"\n[listen.c2s]\nrequire_tls = false\n").unwrap();
        let config = load(Sources { file: Some(file.clone()), ..Sources::default() }).unwrap();
        assert_eq!(
            describe(&config),
            [
                &format!("OK ({})", file.display()),
                "host localhost: SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN, certificate self-signed, registration off",
                "listen.c2s: [::]:5222, STARTTLS offered, not required, shaper normal",
                "listen.c2s_tls: [::]:5223, direct TLS, shaper normal",
                "data: /d",
            ]
        );
        std::fs::write(&file, "store = \"postgres://u:hush@db.example/chat\"\n").unwrap();
        let config = load(Sources { file: Some(file), ..Sources::default() }).unwrap();
        let lines = describe(&config);
        assert_eq!(lines.last().unwrap(), "store: PostgreSQL at db.example:5432/chat");
    }
}
