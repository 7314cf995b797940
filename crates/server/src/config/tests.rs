//! Whole configs: what they come to, and the exact lines about what is wrong with them.

use rjabberd_im::ContactAddresses;
use rjabberd_xmpp::sasl::TlsVersion;

use super::*;

/// Loads a config from text and environment; faults name the file `rjabberd.toml` whatever folder it is in.
fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rjabberd.toml");
    std::fs::write(&file, text).unwrap();
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let place = format!("{}/", folder.path().display());
    load(Sources { file: Some(file), data: None, variables })
        .map_err(|error| error.lines.iter().map(|line| line.replace(&place, "")).collect())
}

#[track_caller]
fn refused(text: &str, lines: &[&str]) {
    assert_eq!(load_text(text, &[]).map(|_| ()), Err(lines.iter().map(|line| (*line).to_owned()).collect()));
}

#[test]
fn the_default_is_a_server_for_localhost() {
    let config = load_text("", &[]).unwrap();
    assert_eq!(config.hosts.iter().map(|host| host.domain.as_str()).collect::<Vec<_>>(), ["localhost"]);
    assert_eq!(
        config.hosts[0].mechanisms.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>(),
        ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]
    );
    let listeners: Vec<(String, String, ListenerTls)> =
        config.listeners.iter().map(|l| (l.name.clone(), l.address.to_string(), l.tls)).collect();
    assert_eq!(
        listeners,
        [
            ("c2s".to_owned(), "[::]:5222".to_owned(), ListenerTls::StartTls { required: true }),
            ("c2s_tls".to_owned(), "[::]:5223".to_owned(), ListenerTls::Direct),
        ]
    );
    assert!(config.listeners.iter().all(|listener| listener.address_is_default));
    assert_eq!(config.limits.stanza, rjabberd_xml::Limits::AUTHENTICATED);
    assert_eq!(config.limits.login, rjabberd_xml::Limits::UNAUTHENTICATED);
    assert!(!config.hosts[0].registration);
    assert_eq!(config.warnings, [""; 0]);
}

/// A config without the places that its file decides.
fn anywhere(mut config: Config) -> Config {
    config.file = None;
    config.data = config.data.file_name().unwrap().into();
    config
}

#[test]
fn the_example_says_the_defaults() {
    let example = include_str!("../../rjabberd.toml");
    assert_eq!(anywhere(load_text(example, &[]).unwrap()), anywhere(load_text("", &[]).unwrap()));
    let all: String = example.lines().flat_map(|line| [with_its_key(line), "\n"]).collect();
    load_text(&all, &[]).unwrap();
    let entries = file::read("rjabberd.toml", &all).unwrap();
    for key in schema::KEYS {
        let is_reserved = key.path.starts_with(&["listen", "admin"]);
        assert!(is_reserved || entries.keys().any(|path| key.names(path)), "{:?} is missing", key.path);
    }
}

/// The line with the key that has no default, if it holds one.
fn with_its_key(line: &str) -> &str {
    line.strip_prefix('#').filter(|key| !key.starts_with(' ')).unwrap_or(line)
}

#[test]
fn without_a_file_data_is_in_the_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("x.toml");
    let error = load(Sources { file: Some(missing.clone()), ..Sources::default() }).unwrap_err();
    assert_eq!(
        error.lines,
        [format!("{}: cannot read the config: No such file or directory (os error 2)", missing.display())]
    );
}

#[test]
fn relative_paths_are_beside_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "data = \"there\"\n[log]\nfile = \"log\"\n").unwrap();
    let sources = Sources { file: Some(file), ..Sources::default() };
    let config = load(sources.clone()).unwrap();
    assert_eq!(config.data, folder.path().join("there"));
    assert_eq!(config.log.file, Some(folder.path().join("log")));
    let variables = vec![("RJABBERD_DATA".into(), "here".into())];
    assert_eq!(
        load(Sources { variables: variables.clone(), ..sources.clone() }).unwrap().data,
        Path::new("here")
    );
    let data = Some(PathBuf::from("nearer"));
    assert_eq!(load(Sources { variables, data, ..sources }).unwrap().data, Path::new("nearer"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
    refused(
        "hosts = [\"a.example\"]\n[listen.c2s]\nrequire_tsl = false\n",
        &["rjabberd.toml:3: unknown key listen.c2s.require_tsl: did you mean \"listen.c2s.require_tls\"?"],
    );
    refused("[lissten.c2s]\n", &["rjabberd.toml:1: unknown key lissten.c2s"]);
    refused("colour = 1\n", &["rjabberd.toml:1: unknown key colour"]);
    refused(
        "stanza_bytes_max = 20000\n",
        &["rjabberd.toml:1: unknown key stanza_bytes_max: did you mean \"limits.stanza_bytes_max\"?"],
    );
    refused(
        "[listen.admin]\ntls = \"none\"\n",
        &["rjabberd.toml:2: unknown key listen.admin.tls: did you mean \"listen.NAME.tls\"?"],
    );
}

#[test]
fn a_value_of_the_wrong_shape_is_refused_with_the_right_one() {
    let check = |text: &str, line: &str| refused(text, &[&format!("rjabberd.toml:1: {line}")]);
    check("hosts = \"a\"", "hosts: expected a list of texts, as in [\"a\", \"b\"], found the text \"a\"");
    check("hosts = [1]", "hosts: expected a list of texts in quotes, found the number 1 in it");
    check("hosts = []", "hosts: the list is empty: name at least one domain");
    check("hosts = [\"a\", \"A\"]", "hosts: \"A\" is there twice");
    check("hosts = [\"a b\"]", "hosts: \"a b\" is no domain: write it as in \"example.net\"");
    check("data = 1", "data: expected a text in quotes, found the number 1");
    check("data = \"\"", "data: is empty: name a folder");
    check(
        "listen.c2s.require_tls = \"no\"",
        "listen.c2s.require_tls: expected true or false, found the text \"no\"",
    );
    check(
        "listen.c2s.tls = \"startls\"",
        "listen.c2s.tls: \"startls\" is not one of starttls, direct, none: did you mean \"starttls\"?",
    );
    check("limits.idle_s = 0", "limits.idle_s: 0 is out of range: from 1 to 86400");
    check(
        "limits.idle_s = 1.5",
        "limits.idle_s: expected a whole number from 1 to 86400, found a number with a point",
    );
    check("limits = 3", "limits: expected a table, found the number 3");
    check("[[listen]]", "listen: expected a table, found a list");
    check(
        "limits.shared_networks = [\"10\"]",
        "limits.shared_networks: \"10\" is no network: write it as in 10.0.0.0/8 or fc00::/7",
    );
    check(
        "log.level = \"inof\"",
        "log.level: \"inof\" is no filter, as \"info\" or \"info,c2s=debug\" are: did you mean \"info\"?",
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let check = |text: &str, line: &str| refused(text, &[&format!("rjabberd.toml:{line}")]);
    check("[listen.extra]\n", "1: listen.extra: needs address");
    check(
        "[listen.extra]\naddress = \"5222\"\n",
        "2: listen.extra.address: \"5222\" is no address with a port: write it as in \"[::]:5222\" or \"127.0.0.1:5222\"",
    );
    check(
        "[listen.extra]\naddress = \"[::]:5222\"\n",
        "2: listen.extra.address: [::]:5222 is the address of listen.c2s too",
    );
    check(
        "[listen.c2s]\nshaper = \"norml\"\n",
        "2: listen.c2s.shaper: there is no [shapers.norml]: did you mean \"normal\"?",
    );
    check(
        "[listen.c2s]\ntls = \"none\"\n",
        "2: listen.c2s.tls: without TLS, messages can be read on the way: write require_tls = false beside it if that is meant",
    );
    check(
        "[listen.c2s_tls]\nrequire_tls = false\n",
        "2: listen.c2s_tls.require_tls: a listener with tls = \"direct\" always has TLS: delete this line",
    );
    check("[shapers.slow]\nburst_bytes = 5\n", "2: shapers.slow: needs bytes_per_s");
    check(
        "[shapers.slow]\nalgorithm = \"maxrate\"\nbytes_per_s = 5\nburst_bytes = 5\n",
        "4: shapers.slow.burst_bytes: the maxrate algorithm has no burst: delete this line",
    );
    check(
        "[tls]\ncertificate = \"x\"\n",
        "2: tls.certificate: needs tls.key beside it: the file of its private key",
    );
    check(
        "[host.\"b.example\"]\nregistration.enabled = true\n",
        "2: host.\"b.example\": is not one of hosts",
    );
    check(
        "[auth]\nmechanisms = [\"PLAIN\"]\n",
        "2: auth.mechanisms: name at least one SCRAM mechanism, or \"ANONYMOUS\" alone: only SCRAM keys are stored, \
         never a password",
    );
    check(
        "[auth]\nmechanisms = [\"SCRAM-SHA-1\", \"SCRAM-SHA-256-PLUS\"]\n",
        "2: auth.mechanisms: \"SCRAM-SHA-256-PLUS\" comes with \"SCRAM-SHA-256\" wherever there is TLS to bind to: \
         write only that",
    );
    check(
        "[auth]\nmechanisms = [\"SCRAM-SHA-1\", \"HT-SHA-256-EXPR\"]\n",
        "2: auth.mechanisms: \"HT-SHA-256-EXPR\" is for tokens, which the server offers by itself: delete it",
    );
    check(
        "[auth]\nmechanisms = [\"SCRAM-SHA-1\", \"EXTERNAL\"]\n",
        "2: auth.mechanisms: \"EXTERNAL\" needs auth.external_ca beside it: the file of the authorities that vouch for \
         clients' certificates",
    );
    check(
        "[auth]\nexternal_ca = \"ca.pem\"\n",
        "2: auth.external_ca: is for nothing: add \"EXTERNAL\" to auth.mechanisms beside it, or delete it",
    );
    check(
        "[host.\"localhost\".auth]\nexternal_ca = \"ca.pem\"\n",
        "2: host.localhost.auth.external_ca: is for nothing: add \"EXTERNAL\" to auth.mechanisms beside it, or delete it",
    );
    check(
        "[tls]\nversion_min = \"1.1\"\n",
        "2: tls.version_min: \"1.1\" is not one of 1.2, 1.3: did you mean \"1.2\"?",
    );
    check(
        "[auth]\nmechanisms = [\"SCRAM-SHA256\"]\n",
        "2: auth.mechanisms: \"SCRAM-SHA256\" is not one of EXTERNAL, SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, \
         PLAIN, DIGEST-MD5, ANONYMOUS: did you mean \"SCRAM-SHA-256\"?",
    );
    check(
        "store = \"postgres://u:hush@h:hush/d\"\n",
        "1: store: the store's URL cannot be used: it is no such URL; it is \
         postgres://user:password@host:port/database, with %XX for special characters",
    );
}

#[test]
fn every_fault_is_told_at_once() {
    refused(
        "hosts = 1\ncolour = 2\n[limits]\nidle_s = -1\n",
        &[
            "rjabberd.toml:2: unknown key colour",
            "rjabberd.toml:1: hosts: expected a list of texts, as in [\"a\", \"b\"], found the number 1",
            "rjabberd.toml:4: limits.idle_s: -1 is out of range: from 1 to 86400",
        ],
    );
}

#[test]
fn the_environment_replaces_the_file() {
    let config = load_text(
        "hosts = [\"a.example\"]\n[limits]\nidle_s = 100\n",
        &[
            ("RJABBERD_HOSTS", "b.example, C.Example."),
            ("RJABBERD_LISTEN__C2S__REQUIRE_TLS", "false"),
            ("RJABBERD_LISTEN__EXTRA__ADDRESS", "127.0.0.1:0"),
            ("RJABBERD_REGISTRATION__ENABLED", "true"),
        ],
    )
    .unwrap();
    let domains: Vec<&str> = config.hosts.iter().map(|host| host.domain.as_str()).collect();
    assert_eq!(domains, ["b.example", "c.example"]);
    assert!(config.hosts.iter().all(|host| host.registration));
    assert_eq!(config.limits.idle.as_secs(), 100);
    assert_eq!(config.listeners[0].tls, ListenerTls::StartTls { required: false });
    assert_eq!(config.listeners[2].name, "extra");
}

#[test]
fn a_fault_of_the_environment_names_the_variable() {
    let lines = load_text("", &[("RJABBERD_LIMITS__IDLE_S", "soon"), ("RJABBERD_LISTEN__C2S__TLS", "yes")]);
    assert_eq!(
        lines.unwrap_err(),
        [
            "RJABBERD_LIMITS__IDLE_S: expected a whole number from 1 to 86400, found \"soon\"",
            "RJABBERD_LISTEN__C2S__TLS: \"yes\" is not one of starttls, direct, none",
        ]
    );
}

#[test]
fn a_secret_may_stand_in_a_file_and_is_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("store");
    std::fs::write(&secret, "sqlite\n").unwrap();
    let name = secret.to_str().unwrap();
    assert_eq!(load_text("", &[("RJABBERD_STORE_FILE", name)]).unwrap().store, StoreKind::Sqlite);
    std::fs::write(&secret, "mysql://u:hush@h/d").unwrap();
    assert_eq!(
        load_text("", &[("RJABBERD_STORE_FILE", name)]).unwrap_err(),
        [
            "RJABBERD_STORE_FILE: unknown store: write \"sqlite\" or \"postgres://user:password@host/database\""
        ]
    );
    std::fs::write(&secret, "postgres://u:hush@db.example/d\n").unwrap();
    let config = load_text("", &[("RJABBERD_STORE_FILE", name)]).unwrap();
    assert!(matches!(&config.store, StoreKind::Postgres(url) if url.to_string() == "db.example:5432/d"));
    assert!(!format!("{config:?}").contains("hush"));
    assert_eq!(
        load_text("store = \"sqlite\"\nstore_file = \"x\"\n", &[]).unwrap_err(),
        ["rjabberd.toml:2: store_file: store is given too: keep one of the two"]
    );
    assert_eq!(load_text("store = 5\n", &[]).unwrap_err(), ["rjabberd.toml:1: store: expected a text"]);
}

#[test]
fn a_host_overrides_what_holds_for_all() {
    let config = load_text(
        "hosts = [\"a.example\", \"b.example\"]\n\
         [tls]\ncertificate = \"/all.pem\"\nkey = \"/all.key\"\n\
         [host.\"B.example.\"]\nregistration.enabled = true\nauth.mechanisms = [\"SCRAM-SHA-1\"]\n\
         [host.\"B.example.\".tls]\ncertificate = \"/b.pem\"\nkey = \"/b.key\"\n",
        &[],
    )
    .unwrap();
    let [a, b] = &config.hosts[..] else { panic!("two hosts") };
    assert!(!a.registration && b.registration);
    assert_eq!(b.mechanisms.iter().map(|mechanism| mechanism.name()).collect::<Vec<_>>(), ["SCRAM-SHA-1"]);
    assert_eq!(a.mechanisms.len(), 4);
    assert_eq!(a.certificate.as_ref().map(|files| files.certificate.as_path()), Some(Path::new("/all.pem")));
    assert_eq!(b.certificate.as_ref().map(|files| files.key.as_path()), Some(Path::new("/b.key")));
}

#[test]
fn mechanisms_that_are_off_by_default_are_chosen_by_name_for_all_or_for_one_host() {
    let config = load_text(
        "hosts = [\"a.example\", \"b.example\", \"c.example\"]\n\
         [auth]\nmechanisms = [\"EXTERNAL\", \"SCRAM-SHA-256\", \"DIGEST-MD5\"]\nexternal_ca = \"/all.pem\"\n\
         [host.\"b.example\".auth]\nmechanisms = [\"ANONYMOUS\"]\n\
         [host.\"c.example\".auth]\nexternal_ca = \"/c.pem\"\n",
        &[],
    )
    .unwrap();
    let names = |host: &Host| host.mechanisms.iter().map(|one| one.name()).collect::<Vec<_>>();
    let ca = |host: &Host| host.external_ca.as_ref().map(|file| file.display().to_string());
    let [a, b, c] = &config.hosts[..] else { panic!("three hosts") };
    assert_eq!(
        (names(a), ca(a)),
        (vec!["EXTERNAL", "SCRAM-SHA-256", "DIGEST-MD5"], Some("/all.pem".to_owned()))
    );
    assert_eq!((names(b), ca(b)), (vec!["ANONYMOUS"], None));
    assert_eq!((names(c), ca(c)), (names(a), Some("/c.pem".to_owned())));
    assert_eq!(config.tls_version_min, TlsVersion::V12);
    assert_eq!(load_text("tls.version_min = \"1.3\"\n", &[]).unwrap().tls_version_min, TlsVersion::V13);
}

#[test]
fn authorities_that_are_missing_for_many_hosts_are_told_once() {
    let text =
        "hosts = [\"a.example\", \"b.example\"]\n[auth]\nmechanisms = [\"EXTERNAL\", \"SCRAM-SHA-256\"]\n";
    assert_eq!(load_text(text, &[]).unwrap_err().len(), 1);
}

#[test]
fn a_host_has_the_contact_addresses_of_all_but_for_the_roles_that_it_names() {
    let config = load_text(
        "hosts = [\"a.example\", \"b.example\", \"c.example\"]\n\
         [contact]\nabuse = [\"mailto:all@a.example\"]\nadmin = [\"xmpp:admin@a.example\"]\n\
         [host.\"B.example\"]\ncontact.abuse = [\"mailto:b@b.example\"]\n\
         [host.\"c.example\"]\ncontact.abuse = []\n",
        &[],
    )
    .unwrap();
    for (host, abuse) in
        config.hosts.iter().zip([Some("mailto:all@a.example"), Some("mailto:b@b.example"), None])
    {
        let expected = ContactAddresses::new(|role| match role {
            "abuse" => abuse.map(str::to_owned).into_iter().collect(),
            "admin" => vec!["xmpp:admin@a.example".to_owned()],
            _ => Vec::new(),
        });
        assert_eq!(host.contact, expected, "{}", host.domain);
    }
    let line = |place: &str| {
        format!(
            "rjabberd.toml:{place}.abuse: \"abuse\" is no URI: write it as in \"mailto:abuse@example.net\""
        )
    };
    refused("[contact]\nabuse = [\"abuse\"]\n", &[&line("2: contact")]);
    refused("[host.localhost]\ncontact.abuse = [\"abuse\"]\n", &[&line("2: host.localhost.contact")]);
}

#[test]
fn who_guesses_waits_and_tokens_are_given_out_unless_the_config_says_no() {
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    let auth = load_text("", &[]).unwrap().auth;
    assert!(auth.delay);
    assert_eq!(auth.fast, Some(Fast { lifetime: days(21), rotation: days(1), clients_max: 50 }));
    let text = "[auth]\ndelay = false\nfast_days = 7\nfast_rotate_hours = 48\nfast_clients_max = 3\n";
    let auth = load_text(text, &[]).unwrap().auth;
    assert!(!auth.delay);
    assert_eq!(auth.fast, Some(Fast { lifetime: days(7), rotation: days(2), clients_max: 3 }));
    assert_eq!(auth.fast.unwrap().rotation_s(), 172_800);
    assert_eq!(load_text("auth.fast = false\nauth.fast_days = 7\n", &[]).unwrap().auth.fast, None);
}

#[test]
fn what_an_account_may_keep_is_said_by_limits() {
    let config = load_text("", &[]).unwrap();
    let archive = config.limits.account.archive;
    assert_eq!(config.limits.account, rjabberd_im::Limits { archive, ..rjabberd_im::Limits::default() });
    let config = load_text(
        "[limits]\nroster_items_max = 1\noffline_messages_max = 2\noffline_bytes_max = 10003\n\
         offline_days_max = 4\nblocks_max = 5\nprivate_bytes_max = 10006\nvcard_bytes_max = 10007\n\
         [pep]\nnodes_max = 8\nitems_max = 9\nitem_bytes_max = 10010\nbytes_max = 10011\n\
         [push]\nregistrations_max = 8\ncontents = true\nerrors_max = 9\nunacknowledged_s = 10\n",
        &[],
    )
    .unwrap();
    let expected = rjabberd_im::Limits {
        roster_items_max: 1,
        offline: rjabberd_storage::OfflineLimits { messages_max: 2, bytes_max: 10_003 },
        offline_age: std::time::Duration::from_secs(4 * 86_400),
        blocks_max: 5,
        private_bytes_max: 10_006,
        vcard_bytes_max: 10_007,
        archive,
        pep: rjabberd_im::PepSettings {
            nodes_max: 8,
            items_max: 9,
            item_bytes_max: 10_010,
            bytes_max: 10_011,
        },
        push: rjabberd_im::PushLimits {
            registrations_max: 8,
            contents: true,
            errors_max: 9,
            unacknowledged: std::time::Duration::from_secs(10),
        },
    };
    assert_eq!(config.limits.account, expected);
}

#[test]
fn everything_is_archived_for_a_year_unless_the_config_says_otherwise() {
    use rjabberd_storage::ArchiveOtherwise;
    let days = |days: u64| Some(std::time::Duration::from_secs(days * 86_400));
    let archive = |text: &str| load_text(text, &[]).unwrap().limits.account.archive;
    let usual = rjabberd_im::ArchiveRules {
        enabled: true,
        otherwise: ArchiveOtherwise::Always,
        age: days(365),
        messages_max: None,
        page_max: 250,
    };
    assert_eq!(archive(""), usual);
    let text = "[archive]\ndefault = \"roster\"\ndays_max = 7\nmessages_max = 1000\npage_max = 20\n";
    let other = rjabberd_im::ArchiveRules {
        otherwise: ArchiveOtherwise::Roster,
        age: days(7),
        messages_max: Some(1_000),
        page_max: 20,
        ..usual
    };
    assert_eq!(archive(text), other);
    assert_eq!(archive("archive.days_max = 0").age, None);
    assert_eq!(archive("archive.default = \"never\"").otherwise, ArchiveOtherwise::Never);
    assert!(!archive("archive.enabled = false").enabled);
}

#[test]
fn what_a_stream_may_carry_is_said_by_limits_before_login_and_after_it() {
    let config = load_text(
        "[limits]\nlogin_bytes_max = 5000\nlogin_elements_max = 24\nstanza_bytes_max = 10000\n\
         stanza_elements_max = 256\nheader_bytes_max = 2000\ndepth_max = 16\nattributes_max = 17\n\
         namespaces_max = 8\nconnections_per_address_per_s_max = 7\n",
        &[],
    )
    .unwrap();
    let login = rjabberd_xml::Limits {
        header_bytes_max: 2000,
        element_bytes_max: 5000,
        elements_max: 24,
        depth_max: 16,
        attributes_max: 17,
        namespaces_max: 8,
    };
    assert_eq!(config.limits.login, login);
    let stanza = rjabberd_xml::Limits { element_bytes_max: 10_000, elements_max: 256, ..login };
    assert_eq!(config.limits.stanza, stanza);
    assert_eq!(config.limits.connections_per_address_per_s_max, 7);
}

#[test]
fn no_limit_can_shut_everybody_out() {
    let check = |key: &str, low: u64, range: &str| {
        let line = format!("rjabberd.toml:1: limits.{key}: {low} is out of range: from {range}");
        refused(&format!("limits.{key} = {low}\n"), &[&line]);
    };
    check("login_bytes_max", 4095, "4096 to 1048576");
    check("login_elements_max", 23, "24 to 1024");
    check("stanza_bytes_max", 9_999, "10000 to 16777216");
    check("stanza_elements_max", 255, "256 to 1000000");
    check("header_bytes_max", 1023, "1024 to 65536");
    check("depth_max", 15, "16 to 64");
    check("depth_max", 65, "16 to 64");
    check("attributes_max", 15, "16 to 64");
    check("namespaces_max", 7, "8 to 32");
    check("connections_per_address_per_s_max", 0, "1 to 1000000");
}

#[test]
fn a_listener_reads_proxy_headers_only_from_the_networks_that_it_names() {
    let config = load_text("[listen.c2s]\nproxy_from = [\"10.0.0.0/8\", \"fd00::/8\"]\n", &[]).unwrap();
    let written: Vec<String> = config.listeners[0].proxy_from.iter().map(Network::to_string).collect();
    assert_eq!(written, ["10.0.0.0/8", "fd00::/8"]);
    assert!(config.listeners[1].proxy_from.is_empty());
    refused(
        "[listen.c2s]\nproxy_from = [\"10.0.0.1\"]\n",
        &[
            "rjabberd.toml:2: listen.c2s.proxy_from: \"10.0.0.1\" is no network: write it as in 10.0.0.0/8 or fc00::/7",
        ],
    );
}

/// A row of the table of keys names its key first: `| `limits.x` | default | meaning |`; `listen.NAME.x` may share one.
#[test]
fn every_limit_has_its_row_in_the_operators_handbook() {
    let operations =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md"))
            .unwrap();
    for key in schema::KEYS.iter().filter(|key| key.path[0] == "limits") {
        let start = format!("| `{}` | ", key.path.join("."));
        let row = operations.lines().find(|line| line.starts_with(&start));
        let cells = row.unwrap_or_else(|| panic!("no row begins with {start}")).matches('|').count();
        assert_eq!(cells, 4, "{start}");
    }
}

#[test]
fn a_default_listener_can_be_turned_off_and_a_shaper_left_out() {
    let config = load_text(
        "[listen.c2s_tls]\nenabled = false\n[listen.c2s]\nshaper = \"none\"\n\
         [shapers.old]\nalgorithm = \"maxrate\"\nbytes_per_s = 1000\n[shapers.new]\nbytes_per_s = 1000\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].shaper, None);
    assert_eq!(config.shapers["old"], Shaper::MaxRate { bytes_per_s: 1000 });
    assert_eq!(config.shapers["new"], Shaper::Bucket { bytes_per_s: 1000, burst_bytes: 5000 });
}

#[test]
fn a_listener_without_tls_is_one_that_somebody_wrote_out() {
    let config = load_text("[listen.c2s]\ntls = \"none\"\nrequire_tls = false\n", &[]).unwrap();
    assert_eq!(config.listeners[0].tls, ListenerTls::None);
}

#[test]
fn the_admin_listener_is_reserved_and_said_to_be() {
    let config = load_text("[listen.admin]\naddress = \"127.0.0.1:5280\"\n", &[]).unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0]
            .ends_with("rjabberd.toml:2: listen.admin: nothing listens there yet: it is reserved")
    );
}

/// The reference that is shipped.
const REFERENCE: &str = include_str!("../../rjabberd.toml");

#[test]
fn the_shipped_reference_is_the_default() {
    let written = load_text(REFERENCE, &[]).unwrap();
    let default = load_text("", &[]).unwrap();
    assert_eq!(
        Config { file: None, data: PathBuf::new(), ..written },
        Config { file: None, data: PathBuf::new(), ..default }
    );
}

#[test]
fn the_shipped_reference_has_every_key_that_is_served() {
    let full: String = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    load_text(&full, &[]).unwrap();
    let entries = file::read("rjabberd.toml", &full).unwrap();
    for key in schema::KEYS.iter().filter(|key| !key.path.contains(&"admin")) {
        let is_there =
            entries.keys().any(|path| schema::find(path).is_some_and(|(found, _)| found.path == key.path));
        assert!(is_there, "{} is not in rjabberd.toml", key.path.join("."));
    }
}

#[test]
fn every_config_that_the_documents_print_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut documents = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { documents.push(path) }
        }
    }
    for document in documents.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let Ok(text) = std::fs::read_to_string(document) else { continue };
        for block in text.split("```toml\n").skip(1) {
            let config = block.split("```").next().unwrap();
            if let Err(lines) = load_text(config, &[]) {
                panic!("{} prints a config that is not valid: {lines:#?}\n{config}", document.display());
            }
        }
    }
}

#[test]
fn the_config_of_the_design_is_valid() {
    let text = r#"
hosts = ["localhost"]
data  = "data"
store = "sqlite"

[listen.c2s]
address = "[::]:5222"
tls = "starttls"
require_tls = true
shaper = "normal"

[listen.c2s_tls]
address = "[::]:5223"
tls = "direct"

[shapers.normal]
bytes_per_s = 100000
burst_bytes = 500000

[registration]
enabled = false
"#;
    let written = load_text(text, &[]).unwrap();
    let default = load_text("", &[]).unwrap();
    assert_eq!(written.shapers, default.shapers);
    assert_eq!(written.hosts, default.hosts);
    assert_eq!(written.limits, default.limits);
}
