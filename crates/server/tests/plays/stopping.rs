//! Starting and stopping: what clients, operators and the data folder see.

use rjabberd_testkit::{Play, Server, localhost_config};

#[test]
fn a_server_that_is_asked_to_stop_tells_its_clients_and_exits_well() {
    let mut play = Play::new(&[]);
    play.enters("romeo/orchard");
    let mut romeo = play.take("romeo/orchard");
    let mut half_open = play.connects("half open");
    half_open.opens_stream();
    play.server.signal("TERM");
    romeo.gets_stream_error("system-shutdown");
    half_open.gets_stream_error("system-shutdown");
    let status = play.server.wait_for_end(rjabberd_testkit::PATIENCE);
    assert!(status.success(), "{status}");
}

#[test]
fn accounts_outlive_a_restart() {
    let mut play = Play::new(&[]);
    play.enters("romeo/orchard");
    play.server.stop();
    play.server.run();
    play.returns("romeo/orchard").gets_nothing();
}

#[test]
fn a_data_folder_belongs_to_one_server() {
    let server = Server::start(&localhost_config(&[]));
    let output = server.runs(&["run"], "");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&server.pid().to_string()), "it names the process that has it: {text}");
}

#[test]
fn a_data_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&localhost_config(&[]));
    server.add_account("romeo@localhost", "secret");
    let data = server.folder().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 2, "{files:?}");
    for file in files.iter().filter(|path| path.is_file()) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[test]
fn commands_work_without_a_server_too() {
    let server = Server::stopped(&localhost_config(&[]));
    server.add_account("romeo@localhost", "secret");
    assert!(server.succeeds(&["user", "list"], "").contains("romeo@localhost"));
    server.succeeds(&["user", "remove", "romeo@localhost"], "");
    assert!(!server.succeeds(&["user", "list"], "").contains("romeo"));
}

#[test]
fn a_mistake_in_the_config_is_one_plain_line() {
    let server = Server::stopped("[listen.c2s]\nadress = '127.0.0.1:0'\n");
    for command in ["run", "check-config"] {
        let output = server.runs(&[command], "");
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("did you mean") && text.contains("address"), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_port_that_is_taken_is_one_plain_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server = Server::stopped(&localhost_config(&[&format!("listen.c2s.address = '{address}'")]));
    let output = server.runs(&["run"], "");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&address.to_string()) && !text.contains("panicked"), "{text}");
}
