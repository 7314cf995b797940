//! The real program against the real server.

#![expect(clippy::unwrap_used, reason = "in a test, what is not there is a failure")]

use std::process::{Command, Output};

use rjabberd_testkit::{PASSWORD, Server, localhost_config};
use serde_json::Value;

const MORE: [&str; 4] = [
    "listen.c2s.require_tls = false",
    "listen.c2s.shaper = 'none'",
    "listen.c2s_tls.shaper = 'none'",
    "auth.plain_without_tls = true",
];

/// A server with eight accounts, which the program has made itself.
fn server() -> Server {
    let mut server = Server::stopped(&localhost_config(&MORE));
    let accounts = ["accounts", "--count", "8", "--domain", "localhost", "--password", PASSWORD];
    let printed = load(&[&accounts[..], &["--format", "rjabberd"]].concat());
    assert!(printed.status.success());
    let file = server.folder().join("accounts.tsv");
    std::fs::write(&file, printed.stdout).unwrap();
    server.succeeds(&["user", "import", &file.to_string_lossy()], "");
    server.run();
    server
}

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rjabberd-load")).args(arguments).output().unwrap()
}

/// Runs a phase without rests; its figures and whether it ended with 0.
fn phase(server: &Server, listener: &str, phase: &str, more: &[&str]) -> (Value, bool) {
    let target = server.address(listener).to_string();
    let pid = server.pid().to_string();
    let base = [
        phase,
        "--target",
        &target,
        "--domain",
        "localhost",
        "--server-pid",
        &pid,
        "--settle",
        "0",
        "--warmup",
        "0.05",
        "--timeout",
        "30",
    ];
    let password = if more.contains(&"--password") { &[][..] } else { &["--password", PASSWORD] };
    let output = load(&[&base[..], password, more].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stdout.lines().count(), 1, "one line for one phase:\n{stdout}{stderr}");
    (serde_json::from_str(&stdout).unwrap(), output.status.success())
}

#[track_caller]
fn check(figures: &Value, wanted: &[(&str, u64)]) {
    for (name, wanted) in wanted {
        assert_eq!(figures[name], *wanted, "{name} in {figures}");
    }
    assert_eq!(figures["ok"], true, "{figures}");
    assert!(figures["latency_us"]["p50"].as_u64().unwrap() > 0, "{figures}");
    assert!(figures["server_rss_kib_after"].as_u64().unwrap() > 1000, "{figures}");
}

#[test]
fn sessions_log_in_and_chat_plain_with_starttls_and_with_tls() {
    let server = server();
    let ca = server.folder().join("data/self-signed.pem");
    let ca = ca.to_string_lossy();
    let ways: [(&str, &[&str]); 5] = [
        ("c2s", &[]),
        ("c2s", &["--mechanism", "SCRAM-SHA-256"]),
        ("c2s", &["--mechanism", "PLAIN", "--source", "127.0.0.2,127.0.0.3"]),
        ("c2s", &["--tls", "starttls", "--insecure"]),
        ("c2s_tls", &["--tls", "direct", "--ca", &ca]),
    ];
    for (listener, way) in ways {
        let login = ["--sessions", "4", "--logins", "10", "--concurrency", "3"];
        let (figures, is_good) = phase(&server, listener, "login", &[way, &login[..]].concat());
        check(&figures, &[("operations", 10)]);
        assert!(is_good);
        let chat = ["--sessions", "7", "--messages", "20", "--window", "3", "--idle-sessions", "2"];
        let short = ["--idle-seconds", "0.1", "--stanza-bytes", "245"];
        let (figures, is_good) = phase(&server, listener, "chat", &[way, &chat[..], &short[..]].concat());
        check(&figures, &[("operations", 120), ("sessions", 6), ("lost", 0), ("duplicated", 0)]);
        check(&figures, &[("disordered", 0), ("stanza_bytes", 245)]);
        assert!(is_good);
    }
}

#[test]
fn a_fixed_rate_sends_as_many_as_are_due() {
    let server = server();
    let report = server.folder().join("report.html");
    let more =
        ["--sessions", "4", "--rate", "500", "--seconds", "0.6", "--report", &report.to_string_lossy()];
    let (figures, is_good) = phase(&server, "c2s", "rate", &more);
    check(&figures, &[("operations", 300), ("sent", 300), ("lost", 0)]);
    assert!(is_good);
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.matches("<polyline").count() >= 3, "{page}");
}

#[test]
fn idle_sessions_are_weighed_before_and_after_traffic() {
    let server = server();
    let more = ["--sessions", "6", "--traffic", "3", "--idle-seconds", "0.1"];
    let (figures, is_good) = phase(&server, "c2s", "idle", &more);
    check(&figures, &[("operations", 6), ("received", 18), ("lost", 0)]);
    assert!(figures["kib_per_session_after_traffic"].is_number(), "{figures}");
    assert!(is_good);
}

#[test]
fn sessions_with_stream_management_chat() {
    let server = server();
    let more = ["--managed", "--sessions", "4", "--messages", "400", "--window", "4"];
    let (figures, is_good) = phase(&server, "c2s", "chat", &more);
    check(&figures, &[("operations", 1600), ("lost", 0), ("duplicated", 0), ("disordered", 0)]);
    assert!(is_good);
}

#[test]
fn presences_reach_all_contacts_which_are_made_once() {
    let server = server();
    let more = ["--sessions", "8", "--contacts", "4", "--senders", "3", "--messages", "20"];
    for _ in 0..2 {
        let (figures, is_good) = phase(&server, "c2s", "presence", &more);
        check(&figures, &[("operations", 240), ("sent", 60), ("lost", 0), ("duplicated", 0)]);
        assert!(is_good);
    }
    let (figures, is_good) =
        phase(&server, "c2s", "contacts", &["--sessions", "8", "--contacts", "6", "--layout", "ring"]);
    assert_eq!(figures["operations"], 8, "those that were missing: {figures}");
    assert!(is_good);
}

#[test]
fn logins_with_a_roster_are_told_from_those_without() {
    let server = server();
    let (figures, _) = phase(&server, "c2s", "login-roster", &["--sessions", "2", "--contacts", "2"]);
    assert_eq!(figures["errors"]["a roster of 0 and not of 2"], 2, "{figures}");
    let halves = ["--sessions", "4", "--contacts", "2", "--layout", "halves"];
    assert!(phase(&server, "c2s", "contacts", &halves).1);
    let more = ["--sessions", "2", "--contacts", "2", "--logins", "8"];
    let (figures, is_good) = phase(&server, "c2s", "login-roster", &more);
    assert_eq!((&figures["operations"], figures["ok"].as_bool()), (&8.into(), Some(true)), "{figures}");
    assert!(figures["server_cpu_us_for_roster"].is_number(), "{figures}");
    assert!(is_good);
}

#[test]
fn a_refused_login_is_told_in_the_servers_words() {
    let server = server();
    for (name, more) in [("login", ["--password", "wrong"]), ("chat", ["--first", "100"])] {
        let (figures, is_good) = phase(&server, "c2s", name, &[&more[..], &["--sessions", "2"]].concat());
        let errors = figures["errors"].as_object().unwrap();
        assert!(errors.contains_key("login refused: not-authorized"), "{figures}");
        assert_eq!(figures["ok"], false);
        assert!(!is_good);
    }
    // A certificate that another one was to vouch for.
    let strange = server.folder().join("data/self-signed.pem");
    let other = self::server();
    let (figures, _) = phase(
        &other,
        "c2s_tls",
        "login",
        &["--tls", "direct", "--ca", &strange.to_string_lossy(), "--sessions", "2"],
    );
    assert!(figures["errors"].to_string().contains("tls: "), "{figures}");
}
