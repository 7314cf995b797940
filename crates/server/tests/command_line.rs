//! The binary as whoever runs it meets it: commands with and without a server, and what it says when it does not
//! start.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A folder with a config in it, on which commands are run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(more: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "hosts = [\"a.example\", \"b.example\"]\nauth.iterations = 4096\n\
             listen.c2s.address = \"127.0.0.1:0\"\nlisten.c2s_tls.address = \"127.0.0.1:0\"\n{more}"
        );
        std::fs::write(folder.path().join("rjabberd.toml"), config).unwrap();
        Place { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rjabberd"));
        command.args(line.split(' ').filter(|word| !word.is_empty())).current_dir(self.path());
        // What is in the environment of whoever runs the tests is not ours.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RJABBERD_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command with this stdin; gives its exit code and what it wrote to stdout and stderr.
    fn run(&self, line: &str, stdin: &str) -> (i32, String, String) {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants no password does not read this.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[track_caller]
    fn succeeds(&self, line: &str, stdin: &str, stdout: &str) {
        assert_eq!(self.run(line, stdin), (0, stdout.to_owned(), String::new()), "{line}");
    }

    #[track_caller]
    fn fails(&self, line: &str, stdin: &str, stderr: &str) {
        assert_eq!(self.run(line, stdin), (1, String::new(), stderr.to_owned()), "{line}");
    }

    /// Starts the server and waits until it says that it is ready.
    fn start(&self) -> Server {
        let mut child = self.command("run").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Server { child, log, lines: Vec::new() };
        loop {
            let mut line = String::new();
            assert!(server.log.read_line(&mut line).unwrap() > 0, "the server ended: {:?}", server.lines);
            let is_ready = line.contains("server:start") && line.contains("Ready");
            server.lines.push(line);
            if is_ready {
                return server;
            }
        }
    }
}

struct Server {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    lines: Vec<String>,
}

impl Server {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it; gives its exit code and all that it has logged.
    fn stop(mut self) -> (i32, Vec<String>) {
        self.signal(Signal::TERM);
        self.lines.extend((&mut self.log).lines().map(Result::unwrap));
        (self.child.wait().unwrap().code().unwrap(), std::mem::take(&mut self.lines))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What becomes of one account and one file of accounts.
fn play(place: &Place) {
    place.succeeds("user list", "", "");
    place.succeeds("user add Romeo@A.example --password-stdin", "one\n", "romeo@a.example created\n");
    place.fails(
        "user add romeo@a.example --password-stdin",
        "one\n",
        "romeo@a.example: the account exists already\n",
    );
    place.succeeds(
        "user passwd romeo@a.example --password-stdin",
        "two",
        "romeo@a.example has a new password\n",
    );
    place.succeeds("user disable romeo@a.example", "", "romeo@a.example disabled\n");
    std::fs::write(place.path().join("new"), "x@b.example\tpencil\nnobody\ny@b.example\tpencil\n").unwrap();
    assert_eq!(
        place.run("user import new", ""),
        (
            1,
            "created 2, replaced 0, left alone 0, refused lines 1\n".to_owned(),
            "line 2: has no tab between the address and the password\n".to_owned()
        )
    );
    place.succeeds("user list", "", "romeo@a.example\tdisabled\nx@b.example\ny@b.example\n");
    place.succeeds("user list B.example", "", "x@b.example\ny@b.example\n");
    place.succeeds("user enable romeo@a.example", "", "romeo@a.example enabled\n");
    place.succeeds("user remove x@b.example", "", "x@b.example removed\n");
    place.fails("user remove x@b.example", "", "x@b.example: there is no such account\n");
    place.succeeds("user list", "", "romeo@a.example\ny@b.example\n");
}

#[test]
fn accounts_are_kept_without_a_server() {
    play(&Place::new(""));
}

#[test]
fn accounts_are_kept_by_the_server_that_runs() {
    let place = Place::new("");
    let server = place.start();
    play(&place);
    let (code, lines) = server.stop();
    assert_eq!(code, 0, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("pencil")));
    place.succeeds("user list", "", "romeo@a.example\ny@b.example\n");
}

#[test]
fn a_second_server_is_refused_with_the_pid_of_the_first() {
    let place = Place::new("");
    let server = place.start();
    let line = format!(
        "the data folder {} is held by pid {}: stop that server first, or choose another folder\n",
        "data",
        server.pid()
    );
    place.fails("run", "", &line);
}

#[test]
fn a_config_that_is_wrong_is_told_line_by_line() {
    let place = Place::new("colour = 1\nlimits.idle_s = 0\n");
    let lines = "rjabberd.toml:5: unknown key colour\n\
                 rjabberd.toml:6: limits.idle_s: 0 is out of range: from 1 to 86400\n";
    for command in ["run", "check-config", "user list"] {
        place.fails(command, "", lines);
    }
}

#[test]
fn check_config_says_what_it_has_checked() {
    let place = Place::new("[listen.admin]\naddress = \"127.0.0.1:5280\"\n");
    let (code, stdout, stderr) = place.run("check-config", "");
    assert_eq!(code, 0);
    assert!(stdout.starts_with("OK (rjabberd.toml)\nhost a.example: SCRAM-SHA-512 "), "{stdout}");
    assert_eq!(stderr, "warning: rjabberd.toml:6: listen.admin: nothing listens there yet: it is reserved\n");
    assert!(!place.path().join("data").exists(), "it touches nothing");
    let place = Place::new("[tls]\ncertificate = \"x.pem\"\nkey = \"x.key\"\n");
    let line = "cannot read x.pem: No such file or directory (os error 2): check the path and that this user may read \
                it\n";
    place.fails("check-config", "", line);
    place.fails("run", "", line);
}

#[test]
fn a_folder_that_cannot_be_used_is_told_in_one_line() {
    let place = Place::new("");
    std::fs::write(place.path().join("file"), "").unwrap();
    let (code, _, stderr) = place.run("run --data file/data", "");
    assert_eq!(code, 1);
    assert!(stderr.starts_with("cannot use file/data: ") && stderr.lines().count() == 1, "{stderr}");
    let place = Place::new("log.file = \"missing/log\"\n");
    let (code, _, stderr) = place.run("run", "");
    assert_eq!(code, 1);
    assert!(stderr.starts_with("cannot open the log file missing/log: "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn the_environment_and_the_options_have_the_last_word() {
    let place = Place::new("");
    let output = place
        .command("check-config --data there")
        .env("RJABBERD_HOSTS", "c.example")
        .env("RJABBERD_SERVICE_HOST", "10.0.0.1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("host c.example: ") && !text.contains("host a.example: "), "{text}");
    assert!(text.ends_with("data: there\n"), "{text}");
    let output = place.command("check-config").env("RJABBERD_CONFIG", "other.toml").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "other.toml: cannot read the config: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_log_of_json_has_one_object_a_line() {
    let place = Place::new("log.format = \"json\"\n");
    let (code, lines) = place.start().stop();
    assert_eq!(code, 0);
    assert!(lines.len() >= 3);
    for line in lines {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(value["time"].is_string() && value["function"].is_string(), "{line}");
    }
}

#[test]
fn a_hang_up_opens_the_log_again_and_does_not_stop() {
    let place = Place::new("");
    let server = place.start();
    server.signal(Signal::HUP);
    place.succeeds("user list", "", "");
    let (code, lines) = server.stop();
    assert_eq!(code, 0);
    let told = lines.iter().filter(|line| line.contains("server:certificate Certificate of ")).count();
    assert_eq!(told, 2, "{lines:?}");
}
