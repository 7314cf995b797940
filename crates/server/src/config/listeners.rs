//! The client listeners of a config and the shapers that they name.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::entry::Origin;
use super::schema;
use super::settings::{Listener, ListenerTls, Shaper};
use super::suggestion;
use super::values::Values;

const C2S: &str = "c2s";
const C2S_TLS: &str = "c2s_tls";
const ADMIN: &str = "admin";
const DEFAULT_SHAPER: &str = "normal";
const DEFAULT_BYTES_PER_S: u64 = 100_000;
/// A bucket holds this many seconds' worth where nobody wrote its size.
const DEFAULT_BURST_S: u64 = 5;

/// Builds the shapers; faults are noted in `values`.
pub(super) fn shapers(values: &mut Values) -> BTreeMap<String, Shaper> {
    let bucket = Shaper::Bucket {
        bytes_per_s: DEFAULT_BYTES_PER_S,
        burst_bytes: DEFAULT_BYTES_PER_S * DEFAULT_BURST_S,
    };
    let mut shapers = BTreeMap::from([(DEFAULT_SHAPER.to_owned(), bucket)]);
    for (name, origin) in values.names_under("shapers") {
        if let Some(shaper) = shaper(values, &name, &origin) {
            shapers.insert(name, shaper);
        }
    }
    shapers
}

fn shaper(values: &mut Values, name: &str, origin: &Origin) -> Option<Shaper> {
    let table = ["shapers".to_owned(), name.to_owned()];
    if name == "none" {
        values.fault(origin, &table, "the name none means no shaper: choose another");
        return None;
    }
    let rate = ["shapers", name, "bytes_per_s"];
    let default_rate = (name == DEFAULT_SHAPER).then_some(DEFAULT_BYTES_PER_S);
    let Some(bytes_per_s) = values.number(&rate).map(|found| found.value).or(default_rate) else {
        if !values.was_refused(&rate) {
            values.fault(origin, &table, "needs bytes_per_s");
        }
        return None;
    };
    let burst = values.number(&["shapers", name, "burst_bytes"]);
    let algorithm = values.text(&["shapers", name, "algorithm"]);
    match (algorithm.as_ref().map(|found| found.value.as_str()), burst) {
        (Some("maxrate"), Some(burst)) => {
            values.fault_in(&burst, "the maxrate algorithm has no burst: delete this line");
            None
        }
        (Some("maxrate"), None) => Some(Shaper::MaxRate { bytes_per_s }),
        (_, burst) => {
            let default = bytes_per_s.saturating_mul(DEFAULT_BURST_S);
            let burst_bytes = burst.map_or(default, |found| found.value);
            Some(Shaper::Bucket { bytes_per_s, burst_bytes })
        }
    }
}

/// Builds the listeners that are enabled; faults are noted in `values`.
pub(super) fn build(values: &mut Values, shapers: &BTreeMap<String, Shaper>) -> Vec<Listener> {
    let mut names: BTreeMap<String, Option<Origin>> =
        values.names_under("listen").into_iter().map(|(name, origin)| (name, Some(origin))).collect();
    if let Some(Some(origin)) = names.remove(ADMIN) {
        values.warnings.push(format!("{origin}: listen.admin: nothing listens there yet: it is reserved"));
    }
    names.entry(C2S.to_owned()).or_default();
    names.entry(C2S_TLS.to_owned()).or_default();
    let mut listeners: Vec<Listener> = Vec::new();
    for (name, origin) in names {
        if !values.boolean_or(&["listen", &name, "enabled"], true) {
            continue;
        }
        let Some(listener) = listener(values, &name, origin.as_ref(), shapers) else { continue };
        refuse_same_address(values, &listener, &listeners);
        listeners.push(listener);
    }
    listeners
}

fn listener(
    values: &mut Values,
    name: &str,
    origin: Option<&Origin>,
    shapers: &BTreeMap<String, Shaper>,
) -> Option<Listener> {
    let key = ["listen", name, "address"];
    let written = values.text(&key);
    let address = match (&written, name) {
        (Some(found), _) => match found.value.parse::<SocketAddr>() {
            Ok(address) => address,
            Err(_) => {
                let text = format!(
                    "{:?} is no address with a port: write it as in \"[::]:5222\" or \"127.0.0.1:5222\"",
                    found.value
                );
                values.fault_in(found, &text);
                return None;
            }
        },
        (None, C2S) => SocketAddr::from(([0u16; 8], 5222)),
        (None, C2S_TLS) => SocketAddr::from(([0u16; 8], 5223)),
        (None, _) => {
            if let (Some(origin), false) = (origin, values.was_refused(&key)) {
                values.fault(origin, &["listen".to_owned(), name.to_owned()], "needs address");
            }
            return None;
        }
    };
    Some(Listener {
        name: name.to_owned(),
        address,
        address_is_default: written.is_none(),
        tls: tls(values, name),
        shaper: shaper_name(values, name, shapers),
        proxy_from: values.networks(&["listen", name, "proxy_from"]).unwrap_or_default(),
    })
}

fn shaper_name(values: &mut Values, listener: &str, shapers: &BTreeMap<String, Shaper>) -> Option<String> {
    let Some(found) = values.text(&["listen", listener, "shaper"]) else {
        return Some(DEFAULT_SHAPER.to_owned());
    };
    if found.value == "none" {
        return None;
    }
    if !shapers.contains_key(&found.value) {
        let question = suggestion::question(&found.value, shapers.keys().map(String::as_str));
        let table = schema::spell(&["shapers".to_owned(), found.value.clone()]);
        values.fault_in(&found, &format!("there is no [{table}]{question}"));
    }
    Some(found.value)
}

fn tls(values: &mut Values, listener: &str) -> ListenerTls {
    let tls = values.text(&["listen", listener, "tls"]);
    let require = values.boolean(&["listen", listener, "require_tls"]);
    let default = if listener == C2S_TLS { "direct" } else { "starttls" };
    match (tls.as_ref().map_or(default, |found| found.value.as_str()), &require) {
        ("direct", Some(found)) if !found.value => {
            values.fault_in(found, "a listener with tls = \"direct\" always has TLS: delete this line");
            ListenerTls::Direct
        }
        ("direct", _) => ListenerTls::Direct,
        ("none", Some(found)) if !found.value => ListenerTls::None,
        ("none", _) => {
            if let Some(found) = &tls {
                let text = "without TLS, messages can be read on the way: write require_tls = false beside it \
                            if that is meant";
                values.fault_in(found, text);
            }
            ListenerTls::None
        }
        (_, require) => ListenerTls::StartTls { required: require.as_ref().is_none_or(|found| found.value) },
    }
}

fn refuse_same_address(values: &mut Values, listener: &Listener, others: &[Listener]) {
    let taken = |other: &&Listener| other.address == listener.address && listener.address.port() != 0;
    let Some(other) = others.iter().find(taken) else { return };
    // One of the two was written by somebody: two defaults never meet.
    for name in [&listener.name, &other.name] {
        if let Some(found) = values.text(&["listen", name, "address"]) {
            let rival = if *name == listener.name { &other.name } else { &listener.name };
            return values.fault_in(&found, &format!("{} is the address of listen.{rival} too", found.value));
        }
    }
}
