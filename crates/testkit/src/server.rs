//! The real `rjabberd`, on a folder and on free ports of its own.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Figures, Folder, Log, PATIENCE};

/// The config most tests start from: one host, free ports, every line logged, few iterations so that accounts are made
/// fast. All keys are written from the root, so that more of them can follow.
pub fn localhost_config(more: &[&str]) -> String {
    let base = [
        "hosts = ['localhost']",
        "listen.c2s.address = '127.0.0.1:0'",
        "listen.c2s_tls.address = '127.0.0.2:0'",
        "log.level = 'debug'",
        "auth.iterations = 4096",
    ];
    let kept = base.iter().filter(|line| {
        let key = line.split(" = ").next().unwrap_or_default();
        !more.iter().any(|other| other.split('=').next().is_some_and(|other| other.trim() == key))
    });
    kept.chain(more).flat_map(|line| [line, "\n"]).collect()
}

/// A server under test. Dropped, it is killed and its folder goes, unless the test failed.
#[derive(Debug)]
pub struct Server {
    folder: Folder,
    child: Option<Child>,
    log: Log,
    /// Where the log of the running process begins.
    started_at: usize,
    addresses: Mutex<HashMap<String, SocketAddr>>,
}

impl Server {
    /// Writes the config into a new folder, starts the server and waits until it says that it is ready.
    #[track_caller]
    pub fn start(config: &str) -> Server {
        let mut server = Server::stopped(config);
        server.run();
        server
    }

    /// Writes the config into a new folder; nothing runs yet.
    pub fn stopped(config: &str) -> Server {
        let folder = Folder::new();
        fs::write(folder.path().join("rjabberd.toml"), config).expect("the folder can be written to");
        Server { folder, child: None, log: Log::default(), started_at: 0, addresses: Mutex::default() }
    }

    /// Starts the server that is not running, and waits until it says that it is ready.
    #[track_caller]
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        self.started_at = self.log.mark();
        let mut child = self
            .command(&["run"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program().display()));
        self.log.collect(child.stderr.take().expect("stderr is piped"));
        self.child = Some(child);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.address("c2s");
        self.wait_for_log_after(self.started_at, &["Ready, node "]);
    }

    /// The address of a listener by its name in the config, as the log tells it.
    #[track_caller]
    pub fn address(&self, listener: &str) -> SocketAddr {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = addresses.get(listener) {
            return *address;
        }
        let end = format!(" ({listener})");
        let line = self.log.wait_after(self.started_at, PATIENCE, |line| {
            line.contains("Listening on ") && line.trim_end().ends_with(&end)
        });
        let Some(line) = line else {
            panic!("the server does not listen as {listener}; its log:\n{}", self.log.text())
        };
        let address = line
            .split("Listening on ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        addresses.insert(listener.to_owned(), address);
        address
    }

    /// What it has logged, over all its runs.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for a log line that contains all of `words`; fails with the whole log.
    #[track_caller]
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        self.wait_for_log_after(0, words)
    }

    /// As [`Server::wait_for_log`], from the line `mark` on (see [`Log::mark`]).
    #[track_caller]
    pub fn wait_for_log_after(&self, mark: usize, words: &[&str]) -> String {
        self.log
            .wait_after(mark, PATIENCE, |line| words.iter().all(|word| line.contains(word)))
            .unwrap_or_else(|| panic!("no log line has {words:?}; the log:\n{}", self.log.text()))
    }

    /// Where config and data are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the running server.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Memory, threads and files of the running server.
    #[track_caller]
    pub fn figures(&self) -> Figures {
        Figures::of(self.pid()).unwrap_or_else(|| panic!("the server is gone:\n{}", self.log.text()))
    }

    /// A command of the program with this server's config; nothing else of the environment reaches its config.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("RJABBERD_") {
                command.env_remove(name);
            }
        }
        command.env_remove("RUST_LOG").current_dir(self.folder.path());
        command.args(arguments).arg("--config").arg(self.folder.path().join("rjabberd.toml"));
        command
    }

    /// Runs a command to its end with this on its standard input.
    #[track_caller]
    pub fn runs(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program().display()));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A command that needs no input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the command can be waited for")
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str], input: &str) -> String {
        let output = self.runs(arguments, input);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "rjabberd {} ended with {}\n{text}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Adds an account.
    #[track_caller]
    pub fn add_account(&self, jid: &str, password: &str) {
        self.succeeds(&["user", "add", jid, "--password-stdin"], &format!("{password}\n"));
    }

    /// The server's own figures, from its control socket.
    #[track_caller]
    pub fn stats(&self) -> serde_json::Value {
        let text = self.succeeds(&["stats"], "");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the stats {text:?}"))
    }

    /// Asks for the stats until they are as wanted.
    #[track_caller]
    pub fn wait_for_stats(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "the stats stay {stats}");
        }
    }

    /// Sends a signal by its name, as `kill` knows it.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.pid())])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the server cannot be signalled");
    }

    /// Kills the server, as a power cut would, and waits until it is gone and its log is read to the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            let _ended = self.log.wait_after(self.log.mark(), PATIENCE, |_| false);
        }
    }

    /// Asks the server to stop and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end(PATIENCE)
    }

    /// Waits until the server has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self, patience: Duration) -> ExitStatus {
        // Its log ends with the process; only then is there a status to fetch.
        let mark = self.log.mark();
        let deadline = Instant::now() + patience;
        let _ = self.log.wait_after(mark, patience, |_| false);
        let mut child = self.child.take().expect("the server runs");
        loop {
            match child.try_wait().expect("the server is our child") {
                Some(status) => return status,
                None if Instant::now() < deadline => std::thread::yield_now(),
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    panic!("the server does not end; its log:\n{}", self.log.text());
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let path = self.folder.path().join("log.txt");
            let _ = fs::write(path, self.log.text());
        }
    }
}

/// How many actors of each kind live, by the server's own count ([`Server::stats`]); kinds with none are left out.
pub fn alive(stats: &serde_json::Value) -> BTreeMap<String, u64> {
    let kinds = stats["actors"].as_object().into_iter().flatten();
    kinds
        .map(|(kind, counts)| (kind.clone(), counts["alive"].as_u64().unwrap_or_default()))
        .filter(|(_, alive)| *alive > 0)
        .collect()
}

/// The program under test: `RJABBERD_BIN`, else beside the test that runs.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("RJABBERD_BIN") {
        return PathBuf::from(path);
    }
    let test = env::current_exe().expect("a test has a program");
    test.ancestors()
        .skip(1)
        .map(|folder| folder.join("rjabberd"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no rjabberd near {}: build it, or set RJABBERD_BIN", test.display()))
}

#[cfg(test)]
mod tests {
    use super::localhost_config;

    #[test]
    fn a_key_given_by_the_test_replaces_the_one_of_the_base() {
        let config = localhost_config(&["hosts = ['a.example', 'b.example']", "log.bodies = true"]);
        assert_eq!(config.matches("hosts").count(), 1, "{config}");
        assert!(config.contains("log.bodies = true\n") && config.contains("b.example"), "{config}");
    }
}
