//! From values to a [`Config`]: defaults, meanings, and what must fit together.

use std::path::Path;
use std::time::Duration;

use rjabberd_im::{ArchiveRules, PepSettings};
use rjabberd_storage::{ArchiveOtherwise, OfflineLimits, PostgresUrl};
use rjabberd_xmpp::management::Window;
use rjabberd_xmpp::sasl::TlsVersion;

use super::hosts;
use super::listeners;
use super::settings::{Auth, Config, Conflict, Fast, Limits, Log, LogFormat, StoreKind, StreamManagement};
use super::suggestion;
use super::values::Values;

const DAY_S: u64 = 24 * 60 * 60;

/// Loopback, private, link-local and carrier-grade NAT: whole offices behind one address, or a proxy of ours.
const SHARED_NETWORKS: [&str; 9] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
];

/// The config, or every fault, one line each.
pub(super) fn build(mut values: Values, file: Option<&Path>) -> Result<Config, Vec<String>> {
    let hosts = hosts::build(&mut values);
    let shapers = listeners::shapers(&mut values);
    let listeners = listeners::build(&mut values, &shapers);
    let config = Config {
        file: file.map(Path::to_owned),
        hosts,
        data: data(&mut values),
        store: store(&mut values),
        listeners,
        shapers,
        registrations_per_address_max: number_or(&values, &["registration", "per_address_per_hour_max"], 10),
        auth: auth(&values),
        tls_version_min: match values.text(&["tls", "version_min"]) {
            Some(found) if found.value == "1.3" => TlsVersion::V13,
            _ => TlsVersion::V12,
        },
        limits: limits(&mut values),
        stream_management: stream_management(&values),
        conflict: match values.text(&["sessions", "conflict"]) {
            Some(found) if found.value == "refuse" => Conflict::Refuse,
            _ => Conflict::TakeOver,
        },
        arbiters: values.number(&["arbiters", "count"]).and_then(|found| usize::try_from(found.value).ok()),
        shutdown: values.seconds_or(&["shutdown_s"], 8),
        log: log(&mut values),
        warnings: std::mem::take(&mut values.warnings),
    };
    if values.faults.is_empty() { Ok(config) } else { Err(values.faults) }
}

fn data(values: &mut Values) -> std::path::PathBuf {
    let Some(found) = values.text(&["data"]) else { return values.default_path("data") };
    if found.value.is_empty() {
        values.fault_in(&found, "is empty: name a folder");
    }
    values.relative(&found.value, &found.origin)
}

fn store(values: &mut Values) -> StoreKind {
    let Some(found) = values.text(&["store"]) else { return StoreKind::Sqlite };
    // The value is a secret and is not repeated.
    if PostgresUrl::is_meant(&found.value) {
        match PostgresUrl::parse(&found.value) {
            Ok(url) => return StoreKind::Postgres(url),
            Err(error) => values.fault_in(&found, &error.to_string()),
        }
    } else if found.value != "sqlite" {
        values.fault_in(
            &found,
            "unknown store: write \"sqlite\" or \"postgres://user:password@host/database\"",
        );
    }
    StoreKind::Sqlite
}

fn auth(values: &Values) -> Auth {
    Auth {
        iterations: number_or(values, &["auth", "iterations"], 10_000),
        plain_without_tls: values.boolean_or(&["auth", "plain_without_tls"], false),
        // RFC 6120, 6.4.5: at least two and at most five retries.
        failures_max: number_or(values, &["auth", "failures_max"], 5),
        downgrade_protection: values.boolean_or(&["auth", "downgrade_protection"], true),
        delay: values.boolean_or(&["auth", "delay"], true),
        fast: values.boolean_or(&["auth", "fast"], true).then(|| fast(values)),
    }
}

fn fast(values: &Values) -> Fast {
    let hours = |path: &[&str], default: u32, each: u64| {
        Duration::from_secs(u64::from(number_or(values, path, default)) * each * 60 * 60)
    };
    Fast {
        lifetime: hours(&["auth", "fast_days"], 21, 24),
        rotation: hours(&["auth", "fast_rotate_hours"], 24, 1),
        clients_max: number_or(values, &["auth", "fast_clients_max"], 50) as usize,
    }
}

fn number_or(values: &Values, path: &[&str], default: u32) -> u32 {
    values.number(path).and_then(|found| u32::try_from(found.value).ok()).unwrap_or(default)
}

fn limits(values: &mut Values) -> Limits {
    let shared_networks = values
        .networks(&["limits", "shared_networks"])
        .unwrap_or_else(|| SHARED_NETWORKS.iter().filter_map(|text| text.parse().ok()).collect());
    Limits {
        connections_max: values.size_or(&["limits", "connections_max"], 100_000),
        connections_per_address_max: values.size_or(&["limits", "connections_per_address_max"], 1000),
        connections_per_address_per_s_max: number_or(
            values,
            &["limits", "connections_per_address_per_s_max"],
            100,
        ),
        shared_networks,
        login: stream_limits(values, "login", &rjabberd_xml::Limits::UNAUTHENTICATED),
        stanza: stream_limits(values, "stanza", &rjabberd_xml::Limits::AUTHENTICATED),
        header: values.seconds_or(&["limits", "header_s"], 30),
        negotiation: values.seconds_or(&["limits", "negotiation_s"], 120),
        idle: values.seconds_or(&["limits", "idle_s"], 300),
        ping: values.seconds_or(&["limits", "ping_s"], 60),
        sessions_per_account_max: values.size_or(&["limits", "sessions_per_account_max"], 50),
        queue_bytes_max: values.size_or(&["limits", "queue_bytes_max"], 1 << 20),
        write_stall: values.seconds_or(&["limits", "write_stall_s"], 30),
        account: account_limits(values),
    }
}

fn stream_management(values: &Values) -> StreamManagement {
    let resumption = values.number(&["stream_management", "resumption_s"]);
    StreamManagement {
        resumption: Duration::from_secs(resumption.map_or(600, |found| found.value)),
        acknowledgement: values.seconds_or(&["stream_management", "acknowledgement_s"], 60),
        window: Window {
            stanzas_max: values.size_or(&["stream_management", "unacknowledged_max"], 5_000),
            bytes_max: values.size_or(&["stream_management", "unacknowledged_bytes_max"], 1 << 20),
        },
    }
}

/// The limits of what is read before login or after it: bytes and elements differ, the rest holds for both.
fn stream_limits(values: &Values, when: &str, default: &rjabberd_xml::Limits) -> rjabberd_xml::Limits {
    let large = |name: &str, default: u32| number_or(values, &["limits", name], default);
    let small = |name: &str, default: u16| u16::try_from(large(name, default.into())).unwrap_or(default);
    rjabberd_xml::Limits {
        header_bytes_max: large("header_bytes_max", default.header_bytes_max),
        element_bytes_max: large(&format!("{when}_bytes_max"), default.element_bytes_max),
        elements_max: large(&format!("{when}_elements_max"), default.elements_max),
        depth_max: small("depth_max", default.depth_max),
        attributes_max: small("attributes_max", default.attributes_max),
        namespaces_max: small("namespaces_max", default.namespaces_max),
    }
}

/// What is archived; no limit where the number is 0.
fn archive(values: &Values) -> ArchiveRules {
    let number =
        |name: &str, default: u64| values.number(&["archive", name]).map_or(default, |found| found.value);
    let limit = |number: u64| (number > 0).then_some(number);
    ArchiveRules {
        enabled: values.boolean_or(&["archive", "enabled"], true),
        otherwise: match values.text(&["archive", "default"]) {
            Some(found) if found.value == "never" => ArchiveOtherwise::Never,
            Some(found) if found.value == "roster" => ArchiveOtherwise::Roster,
            _ => ArchiveOtherwise::Always,
        },
        age: limit(number("days_max", 365)).map(|days| Duration::from_secs(days * DAY_S)),
        messages_max: limit(number("messages_max", 0)),
        page_max: values.size_or(&["archive", "page_max"], 250),
    }
}

fn account_limits(values: &Values) -> rjabberd_im::Limits {
    let offline_days = values.number(&["limits", "offline_days_max"]).map_or(90, |found| found.value);
    rjabberd_im::Limits {
        roster_items_max: values.size_or(&["limits", "roster_items_max"], 5_000),
        offline: OfflineLimits {
            messages_max: values.size_or(&["limits", "offline_messages_max"], 1_000),
            bytes_max: values.size_or(&["limits", "offline_bytes_max"], 4 << 20),
        },
        offline_age: Duration::from_secs(offline_days * DAY_S),
        blocks_max: values.size_or(&["limits", "blocks_max"], 1_000),
        private_bytes_max: values.size_or(&["limits", "private_bytes_max"], 1 << 20),
        vcard_bytes_max: values.size_or(&["limits", "vcard_bytes_max"], 256 << 10),
        archive: archive(values),
        pep: PepSettings {
            nodes_max: values.size_or(&["pep", "nodes_max"], 200),
            items_max: values.size_or(&["pep", "items_max"], 1_000),
            item_bytes_max: values.size_or(&["pep", "item_bytes_max"], 256 << 10),
            bytes_max: values.size_or(&["pep", "bytes_max"], 8 << 20),
        },
        push: push(values),
    }
}

fn push(values: &Values) -> rjabberd_im::PushLimits {
    let unacknowledged_s = values.number(&["push", "unacknowledged_s"]).map_or(30, |found| found.value);
    rjabberd_im::PushLimits {
        registrations_max: values.size_or(&["push", "registrations_max"], 20),
        contents: values.boolean_or(&["push", "contents"], false),
        errors_max: values.size_or(&["push", "errors_max"], 16),
        unacknowledged: Duration::from_secs(unacknowledged_s),
    }
}

fn log(values: &mut Values) -> Log {
    let level = values.text(&["log", "level"]);
    if let Some(found) = &level
        && !is_filter(&found.value)
    {
        let question = suggestion::question(&found.value, ["error", "warn", "info", "debug", "trace", "off"]);
        let text = format!("{:?} is no filter, as \"info\" or \"info,c2s=debug\" are{question}", found.value);
        values.fault_in(found, &text);
    }
    Log {
        level: level.map_or_else(|| "info".to_owned(), |found| found.value),
        file: values.text(&["log", "file"]).map(|found| values.relative(&found.value, &found.origin)),
        format: match values.text(&["log", "format"]) {
            Some(found) if found.value == "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        bodies: values.boolean_or(&["log", "bodies"], false),
    }
}

/// A filter that env_logger takes, and in which no bare word is a misspelt level: env_logger would read `inof` as
/// the name of a module and log nothing else.
fn is_filter(text: &str) -> bool {
    !text.is_empty()
        && env_filter::Builder::new().try_parse(text).is_ok()
        && text
            .split('/')
            .next()
            .unwrap_or_default()
            .split(',')
            .all(|directive| directive.contains('=') || directive.trim().parse::<log::LevelFilter>().is_ok())
}
