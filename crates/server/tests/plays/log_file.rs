//! The log in a file: opened again on SIGHUP, so that it can be rotated.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use rjabberd_testkit::{PATIENCE, Server, localhost_config};

/// A server whose log the test reads itself; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the file is there and holds these words; all that it holds.
#[track_caller]
fn wait_for(file: &Path, words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(file) {
            Ok(text) if text.contains(words) => return text,
            text => assert!(Instant::now() < deadline, "{}: no {words:?} in {text:?}", file.display()),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_log_file_that_was_moved_away_is_begun_anew_on_sighup() {
    let server = Server::stopped(&localhost_config(&["log.file = 'server.log'", "log.level = 'info'"]));
    let (file, moved) = (server.folder().join("server.log"), server.folder().join("server.log.1"));
    let mut command = server.command(&["run"]);
    let running = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let text = wait_for(&file, "Ready, node ");
    let address = text.split("Listening on ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    fs::rename(&file, &moved).unwrap();
    let hang_up = format!("kill -HUP {}", running.0.id());
    assert!(Command::new("sh").args(["-c", &hang_up]).status().unwrap().success());
    wait_for(&file, "");
    TcpStream::connect(address).unwrap();
    let text = wait_for(&file, "Accepted connection ");
    assert!(!text.contains("Ready, node "), "the new file begins anew: {text}");
    assert!(fs::read_to_string(&moved).unwrap().contains("Ready, node "), "the old one is as it was");
}
