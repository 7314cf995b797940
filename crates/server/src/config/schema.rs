//! The keys that a config may hold: their paths and the shape of their values, in one table.
//!
//! Knows nothing of defaults or of what a value means together with others; that is `build`. A path here is a promise
//! to outside tools: keys are added, never renamed.

use super::suggestion;

/// The shape of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A text that is never printed, and that may stand in a file instead: the same key with `_file` at its end.
    Secret,
    /// true or false.
    Boolean,
    /// A whole number within bounds, both included.
    Number(u64, u64),
    /// A list of texts; in the environment, separated by commas.
    Texts,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One key of the config.
#[derive(Debug)]
pub(crate) struct Key {
    /// Segments of the path; `*` stands for a name that the user chooses.
    pub(crate) path: &'static [&'static str],
    /// The shape of its value.
    pub(crate) kind: Kind,
}

const fn key(path: &'static [&'static str], kind: Kind) -> Key {
    Key { path, kind }
}

/// The longest time that a config may name.
const DAY_S: u64 = 24 * 60 * 60;
/// The most bytes that a limit may allow: more than this is no limit.
const GIB: u64 = 1 << 30;

/// Every key, in the order of the documentation.
pub(crate) const KEYS: &[Key] = &[
    key(&["hosts"], Kind::Texts),
    key(&["data"], Kind::Text),
    key(&["store"], Kind::Secret),
    key(&["shutdown_s"], Kind::Number(1, 3600)),
    key(&["listen", "admin", "address"], Kind::Text),
    key(&["listen", "*", "enabled"], Kind::Boolean),
    key(&["listen", "*", "address"], Kind::Text),
    key(&["listen", "*", "tls"], Kind::Choice(&["starttls", "direct", "none"])),
    key(&["listen", "*", "require_tls"], Kind::Boolean),
    key(&["listen", "*", "shaper"], Kind::Text),
    key(&["listen", "*", "proxy_from"], Kind::Texts),
    key(&["shapers", "*", "algorithm"], Kind::Choice(&["bucket", "maxrate"])),
    key(&["shapers", "*", "bytes_per_s"], Kind::Number(1, GIB)),
    key(&["shapers", "*", "burst_bytes"], Kind::Number(1, GIB)),
    key(&["registration", "enabled"], Kind::Boolean),
    key(&["registration", "per_address_per_hour_max"], Kind::Number(1, 1_000_000)),
    key(&["auth", "mechanisms"], Kind::Texts),
    key(&["auth", "iterations"], Kind::Number(4096, 1_000_000)),
    key(&["auth", "plain_without_tls"], Kind::Boolean),
    key(&["auth", "failures_max"], Kind::Number(1, 100)),
    key(&["auth", "downgrade_protection"], Kind::Boolean),
    key(&["auth", "delay"], Kind::Boolean),
    key(&["auth", "fast"], Kind::Boolean),
    key(&["auth", "fast_days"], Kind::Number(1, 3650)),
    key(&["auth", "fast_rotate_hours"], Kind::Number(0, 24 * 3650)),
    key(&["auth", "fast_clients_max"], Kind::Number(1, 10_000)),
    key(&["auth", "external_ca"], Kind::Text),
    key(&["tls", "certificate"], Kind::Text),
    key(&["tls", "key"], Kind::Text),
    key(&["tls", "version_min"], Kind::Choice(&["1.2", "1.3"])),
    key(&["contact", "abuse"], Kind::Texts),
    key(&["contact", "admin"], Kind::Texts),
    key(&["contact", "feedback"], Kind::Texts),
    key(&["contact", "sales"], Kind::Texts),
    key(&["contact", "security"], Kind::Texts),
    key(&["contact", "status"], Kind::Texts),
    key(&["contact", "support"], Kind::Texts),
    key(&["host", "*", "registration", "enabled"], Kind::Boolean),
    key(&["host", "*", "auth", "mechanisms"], Kind::Texts),
    key(&["host", "*", "auth", "external_ca"], Kind::Text),
    key(&["host", "*", "tls", "certificate"], Kind::Text),
    key(&["host", "*", "tls", "key"], Kind::Text),
    key(&["host", "*", "contact", "abuse"], Kind::Texts),
    key(&["host", "*", "contact", "admin"], Kind::Texts),
    key(&["host", "*", "contact", "feedback"], Kind::Texts),
    key(&["host", "*", "contact", "sales"], Kind::Texts),
    key(&["host", "*", "contact", "security"], Kind::Texts),
    key(&["host", "*", "contact", "status"], Kind::Texts),
    key(&["host", "*", "contact", "support"], Kind::Texts),
    key(&["limits", "connections_max"], Kind::Number(1, 10_000_000)),
    key(&["limits", "connections_per_address_max"], Kind::Number(1, 10_000_000)),
    key(&["limits", "connections_per_address_per_s_max"], Kind::Number(1, 1_000_000)),
    key(&["limits", "shared_networks"], Kind::Texts),
    // What a client says before login, XEP-0388 with XEP-0386 inline at its longest, must fit.
    key(&["limits", "login_bytes_max"], Kind::Number(4096, 1 << 20)),
    key(&["limits", "login_elements_max"], Kind::Number(24, 1024)),
    // RFC 6120, 13.12: a server must not set it below 10,000.
    key(&["limits", "stanza_bytes_max"], Kind::Number(10_000, 16 << 20)),
    key(&["limits", "stanza_elements_max"], Kind::Number(256, 1_000_000)),
    key(&["limits", "header_bytes_max"], Kind::Number(1024, 64 << 10)),
    // Up to what the checker of stanzas that are only passed on is built for; below, what clients do send.
    key(&["limits", "depth_max"], Kind::Number(16, 64)),
    key(&["limits", "attributes_max"], Kind::Number(16, 64)),
    key(&["limits", "namespaces_max"], Kind::Number(8, 32)),
    key(&["limits", "header_s"], Kind::Number(1, DAY_S)),
    key(&["limits", "negotiation_s"], Kind::Number(1, DAY_S)),
    key(&["limits", "idle_s"], Kind::Number(1, DAY_S)),
    key(&["limits", "ping_s"], Kind::Number(1, DAY_S)),
    key(&["limits", "sessions_per_account_max"], Kind::Number(1, 10_000)),
    key(&["limits", "queue_bytes_max"], Kind::Number(10_000, GIB)),
    key(&["limits", "write_stall_s"], Kind::Number(1, DAY_S)),
    key(&["limits", "roster_items_max"], Kind::Number(1, 100_000)),
    key(&["limits", "offline_messages_max"], Kind::Number(1, 1_000_000)),
    key(&["limits", "offline_bytes_max"], Kind::Number(10_000, GIB)),
    key(&["limits", "offline_days_max"], Kind::Number(1, 3650)),
    key(&["limits", "blocks_max"], Kind::Number(1, 10_000)),
    key(&["limits", "private_bytes_max"], Kind::Number(10_000, GIB)),
    key(&["limits", "vcard_bytes_max"], Kind::Number(10_000, 16 << 20)),
    key(&["pep", "nodes_max"], Kind::Number(1, 10_000)),
    key(&["pep", "items_max"], Kind::Number(1, 100_000)),
    key(&["pep", "item_bytes_max"], Kind::Number(10_000, 16 << 20)),
    key(&["pep", "bytes_max"], Kind::Number(10_000, GIB)),
    key(&["stream_management", "resumption_s"], Kind::Number(0, DAY_S)),
    key(&["stream_management", "acknowledgement_s"], Kind::Number(1, DAY_S)),
    key(&["stream_management", "unacknowledged_max"], Kind::Number(10, 1_000_000)),
    key(&["stream_management", "unacknowledged_bytes_max"], Kind::Number(10_000, GIB)),
    key(&["archive", "enabled"], Kind::Boolean),
    key(&["archive", "default"], Kind::Choice(&["always", "never", "roster"])),
    key(&["archive", "days_max"], Kind::Number(0, 36_500)),
    key(&["archive", "messages_max"], Kind::Number(0, 1 << 40)),
    key(&["archive", "page_max"], Kind::Number(1, 1_000)),
    key(&["push", "contents"], Kind::Boolean),
    key(&["push", "registrations_max"], Kind::Number(1, 1_000)),
    key(&["push", "errors_max"], Kind::Number(1, 1_000)),
    key(&["push", "unacknowledged_s"], Kind::Number(1, DAY_S)),
    key(&["sessions", "conflict"], Kind::Choice(&["take-over", "refuse"])),
    key(&["arbiters", "count"], Kind::Number(1, 1024)),
    key(&["log", "level"], Kind::Text),
    key(&["log", "file"], Kind::Text),
    key(&["log", "format"], Kind::Choice(&["text", "json"])),
    key(&["log", "bodies"], Kind::Boolean),
];

/// The key of a path, and whether the path names the file that holds its value.
pub(crate) fn find(path: &[String]) -> Option<(&'static Key, bool)> {
    if let Some(key) = KEYS.iter().find(|key| key.names(path)) {
        return Some((key, false));
    }
    let (last, before) = path.split_last()?;
    let mut without_suffix = before.to_vec();
    without_suffix.push(last.strip_suffix("_file")?.to_owned());
    let secret = KEYS.iter().find(|key| matches!(key.kind, Kind::Secret) && key.names(&without_suffix))?;
    Some((secret, true))
}

/// Whether a table may stand at this path.
pub(crate) fn is_table(path: &[String]) -> bool {
    KEYS.iter().any(|key| key.path.len() > path.len() && matches(&key.path[..path.len()], path))
}

/// What was probably meant by a path that is no key: `: did you mean …?`, or nothing.
pub(crate) fn question(path: &[String]) -> String {
    let wanted = spell(path);
    let mut candidates: Vec<String> = KEYS.iter().map(|key| key.filled_from(path)).collect();
    candidates.extend(
        KEYS.iter()
            .filter(|key| matches!(key.kind, Kind::Secret))
            .map(|key| format!("{}_file", key.filled_from(path))),
    );
    // What is refused though it looks like a key is no answer: `listen.admin.tls`.
    candidates.retain(|candidate| *candidate != wanted);
    let near = suggestion::question(&wanted, candidates.iter().map(String::as_str));
    if !near.is_empty() {
        return near;
    }
    // The right name in the wrong table.
    let same_name = KEYS.iter().find(|key| key.path.last().copied() == path.last().map(String::as_str));
    match same_name {
        Some(key) => format!(": did you mean {:?}?", key.path.join(".").replace('*', "NAME")),
        None => String::new(),
    }
}

/// A path as it is written in the file: segments with a dot in them are quoted.
pub(crate) fn spell(path: &[String]) -> String {
    let bare = |segment: &String| {
        !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    path.iter()
        .map(|segment| if bare(segment) { segment.clone() } else { format!("{segment:?}") })
        .collect::<Vec<_>>()
        .join(".")
}

impl Key {
    /// Whether a path is that of this key.
    pub(crate) fn names(&self, path: &[String]) -> bool {
        self.path.len() == path.len() && matches(self.path, path)
    }

    /// This key's path with the user's own names in place of the wildcards.
    fn filled_from(&self, path: &[String]) -> String {
        let segments: Vec<String> = self
            .path
            .iter()
            .enumerate()
            .map(|(index, segment)| match (*segment, path.get(index)) {
                ("*", Some(name)) => name.clone(),
                (segment, _) => segment.to_owned(),
            })
            .collect();
        spell(&segments)
    }
}

fn matches(pattern: &[&str], path: &[String]) -> bool {
    // `listen.admin` is no client listener, so the wildcard does not stand for it.
    let is_admin = path.len() > 1 && path[0] == "listen" && path[1] == "admin";
    pattern
        .iter()
        .zip(path)
        .all(|(pattern, segment)| if *pattern == "*" { !is_admin } else { pattern == segment })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_key_under_a_chosen_name_is_found() {
        assert!(find(&path("listen.extra.tls")).is_some());
        assert!(find(&path("listen.extra.colour")).is_none());
        assert!(find(&path("listen.extra")).is_none());
        assert!(is_table(&path("listen.extra")));
        assert!(!is_table(&path("lisen")));
    }

    #[test]
    fn only_a_secret_may_stand_in_a_file() {
        assert!(matches!(find(&path("store_file")), Some((_, true))));
        assert!(find(&path("data_file")).is_none());
    }

    #[test]
    fn the_admin_listener_has_no_key_of_a_client_listener() {
        assert!(find(&path("listen.admin.address")).is_some());
        assert!(find(&path("listen.admin.tls")).is_none());
    }

    #[test]
    fn a_name_in_the_wrong_table_is_pointed_to_its_own() {
        assert_eq!(question(&path("stanza_bytes_max")), ": did you mean \"limits.stanza_bytes_max\"?");
        assert_eq!(question(&path("lisen.c2s.tls")), ": did you mean \"listen.c2s.tls\"?");
        assert_eq!(question(&path("something.else.entirely")), "");
    }
}
