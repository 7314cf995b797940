//! `rjabberd user import FILE`: accounts from lines `jid<TAB>password` or `jid<TAB>{SCRAM-…}keys`, the latter also
//! several for one account, separated by tabs.
//!
//! A line that cannot be used is told by its number (never by its password) and left out; the others go in, batch by
//! batch, each batch one transaction. Passwords become keys here, on all cores, and not in the server that runs: its
//! own pool is for those who log in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rjabberd_storage::ImportCounts;
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use zeroize::Zeroizing;

use super::user::account;
use super::{CommandError, complain, say};
use crate::accounts::{self, AccountError, Operations};
use crate::config::Config;

/// Accounts in one transaction, and in one line of the control socket.
pub const IMPORT_BATCH: usize = 500;
const LINE_BYTES_MAX: u64 = 64 << 10;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// An import whose file is open.
pub(super) struct Import {
    from: Box<dyn BufRead>,
    name: String,
    replace: bool,
    number: usize,
}

/// What a line asks for.
struct Line {
    number: usize,
    account: BareJid,
    secret: Secret,
}

enum Secret {
    Password(Zeroizing<String>),
    Keys(Credentials),
}

/// The number of a line, and the account with its keys or what is wrong with them.
type Derived = (usize, Result<(BareJid, Credentials), String>);

/// What came of the import so far.
#[derive(Default)]
struct Total {
    counts: ImportCounts,
    refused_lines: usize,
}

/// Says now and then how far it has come.
struct Progress {
    tell: fn(&str),
    told: Instant,
}

impl Progress {
    fn new(tell: fn(&str)) -> Progress {
        Progress { tell, told: Instant::now() }
    }

    fn step(&mut self, lines: usize, total: &Total) {
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            (self.tell)(&format!("{lines} lines read, {} accounts created", total.counts.created));
        }
    }
}

impl Import {
    /// Opens the file; `-` is stdin.
    pub(super) fn open(file: &Path, replace: bool) -> Result<Import, CommandError> {
        let name = file.display().to_string();
        if name == "-" {
            return Ok(Import::new(Box::new(BufReader::new(io::stdin())), "stdin".to_owned(), replace));
        }
        let opened = File::open(file)
            .map_err(|error| CommandError::Argument(format!("cannot read {name}: {error}")))?;
        Ok(Import::new(Box::new(BufReader::new(opened)), name, replace))
    }

    fn new(from: Box<dyn BufRead>, name: String, replace: bool) -> Import {
        Import { from, name, replace, number: 0 }
    }

    /// Imports the whole file. Fails with the exit code if a line was left out, with an error if the store failed.
    pub(super) async fn perform(
        mut self,
        config: &Config,
        operations: &dyn Operations,
    ) -> Result<ExitCode, CommandError> {
        let progress = Progress::new(complain);
        let total = self.import(config, operations, progress, &mut complain).await?;
        let ImportCounts { created, replaced, skipped } = total.counts;
        let refused = total.refused_lines;
        say(&format!(
            "created {created}, replaced {replaced}, left alone {skipped}, refused lines {refused}"
        ));
        Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn import(
        &mut self,
        config: &Config,
        operations: &dyn Operations,
        mut progress: Progress,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Total, CommandError> {
        let mut total = Total::default();
        loop {
            let mut faults = Vec::new();
            let lines = self.next_lines(config, &mut faults)?;
            let is_end = lines.is_empty();
            let batch = derive_all(lines, config, &mut faults);
            faults.sort_unstable();
            total.refused_lines += faults.len();
            faults.iter().for_each(|(number, fault)| tell(&format!("line {number}: {fault}")));
            if is_end {
                return Ok(total);
            }
            if !batch.is_empty() {
                let counts = operations.import(batch, self.replace).await;
                let counts = counts.map_err(|error| self.broken_off(&total, error))?;
                total.counts.created += counts.created;
                total.counts.replaced += counts.replaced;
                total.counts.skipped += counts.skipped;
            }
            progress.step(self.number, &total);
        }
    }

    fn broken_off(&self, total: &Total, error: AccountError) -> CommandError {
        let subject = format!(
            "import of {} broken off before line {}, {} accounts were created by then",
            self.name, self.number, total.counts.created
        );
        CommandError::Account { subject, error }
    }

    /// The next lines that can be used, a batch of them; none at the end of the file.
    fn next_lines(
        &mut self,
        config: &Config,
        faults: &mut Vec<(usize, String)>,
    ) -> Result<Vec<Line>, CommandError> {
        let mut lines = Vec::new();
        while lines.len() < IMPORT_BATCH {
            let mut bytes = Zeroizing::new(Vec::new());
            (&mut self.from)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes)
                .map_err(|error| CommandError::Argument(format!("cannot read {}: {error}", self.name)))?;
            if bytes.is_empty() {
                break;
            }
            self.number += 1;
            if bytes.len() as u64 == LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
                let text =
                    format!("{} line {}: is longer than {LINE_BYTES_MAX} bytes", self.name, self.number);
                return Err(CommandError::Argument(text));
            }
            match read(&bytes, config) {
                Ok(None) => {}
                Ok(Some((account, secret))) => lines.push(Line { number: self.number, account, secret }),
                Err(fault) => faults.push((self.number, fault)),
            }
        }
        Ok(lines)
    }
}

/// Reads one line; an empty one asks for nothing.
fn read(bytes: &[u8], config: &Config) -> Result<Option<(BareJid, Secret)>, String> {
    let line = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Ok(None);
    }
    let Some((jid, secret)) = line.split_once('\t') else {
        return Err("has no tab between the address and the password".to_owned());
    };
    let account = account(jid).map_err(|error| error.to_string())?;
    let domain = account.domain().as_str();
    if !config.hosts.iter().any(|host| host.domain == domain) {
        return Err(AccountError::ForeignHost(domain.to_owned()).to_string());
    }
    if !secret.starts_with("{SCRAM-") {
        return Ok(Some((account, Secret::Password(Zeroizing::new(secret.to_owned())))));
    }
    let keys: Vec<ScramKeys> =
        secret.split('\t').map(str::parse).collect::<Result<_, _>>().map_err(|_| {
            "the keys are not of the form {SCRAM-SHA-256}iterations,salt,stored,server".to_owned()
        })?;
    let mut hashes: Vec<ScramHash> = keys.iter().map(|keys| keys.hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("has keys of one mechanism twice".to_owned());
    }
    Ok(Some((account, Secret::Keys(Credentials { keys, digest: None }))))
}

/// Turns passwords into keys on all cores; the order of the lines is kept.
fn derive_all(
    lines: Vec<Line>,
    config: &Config,
    faults: &mut Vec<(usize, String)>,
) -> Vec<(BareJid, Credentials)> {
    if lines.is_empty() {
        return Vec::new();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = lines.len().div_ceil(threads);
    let derived: Vec<Derived> = std::thread::scope(|scope| {
        let workers: Vec<_> = lines
            .chunks(share)
            .map(|lines| {
                scope.spawn(move || lines.iter().map(|line| derive(line, config)).collect::<Vec<_>>())
            })
            .collect();
        workers
            .into_iter()
            // A worker that panicked has said so; its lines are missing, and the count tells.
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    let missing = lines.iter().filter(|line| !derived.iter().any(|(number, _)| *number == line.number));
    faults.extend(missing.map(|line| (line.number, "its keys could not be derived".to_owned())));
    let mut batch = Vec::with_capacity(derived.len());
    for (number, result) in derived {
        match result {
            Ok(account) => batch.push(account),
            Err(fault) => faults.push((number, fault)),
        }
    }
    batch
}

fn derive(line: &Line, config: &Config) -> Derived {
    let credentials = match &line.secret {
        Secret::Keys(credentials) => Ok(credentials.clone()),
        Secret::Password(password) => {
            let host = config.hosts.iter().find(|host| host.domain == line.account.domain().as_str());
            let plan = host.unwrap_or(&config.hosts[0]).key_plan(&config.auth);
            accounts::derive(&line.account, password, &plan).map_err(|error| error.to_string())
        }
    };
    (line.number, credentials.map(|credentials| (line.account.clone(), credentials)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rjabberd_storage::{DataFolder, SqliteOptions, SqliteStore, Store};

    use super::*;
    use crate::accounts::{Accounts, NoSessions, ThreadPerJob};
    use crate::config::{Sources, load};

    struct Imported {
        total: Total,
        told: Vec<String>,
        store: Arc<dyn Store>,
        _folder: tempfile::TempDir,
    }

    /// Imports a text into a store that holds romeo already; gives the total, the complaints and the store.
    fn import(text: &[u8], replace: bool) -> Imported {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        std::fs::write(&file, "hosts = [\"example.net\"]\n[auth]\niterations = 4096\n").unwrap();
        let config = load(Sources { file: Some(file), ..Sources::default() }).unwrap();
        let data = DataFolder::open(&config.data).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(data.path(), SqliteOptions::default()).unwrap());
        let accounts = Accounts::new(&config, store.clone(), Arc::new(ThreadPerJob), Arc::new(NoSessions));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut told = Vec::new();
        let total = runtime.block_on(async {
            let romeo = account("romeo@example.net").unwrap();
            accounts.add(romeo, Zeroizing::new("old".to_owned())).await.unwrap();
            let from = Box::new(io::Cursor::new(text.to_vec()));
            let mut import = Import::new(from, "x".to_owned(), replace);
            let progress = Progress::new(|_| ());
            import.import(&config, &accounts, progress, &mut |line| told.push(line.to_owned())).await.unwrap()
        });
        Imported { total, told, store, _folder: folder }
    }

    fn counts(total: &Total) -> (usize, usize, usize, usize) {
        (total.counts.created, total.counts.replaced, total.counts.skipped, total.refused_lines)
    }

    fn keys(store: &Arc<dyn Store>, jid: &str) -> Credentials {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let login = runtime.block_on(store.load_login(&account(jid).unwrap())).unwrap();
        login.unwrap().credentials
    }

    #[test]
    fn bad_lines_are_told_by_number_and_the_others_go_in() {
        let text = b"juliet@example.net\tpencil\n\
            \n\
            no tab here\n\
            nobody\tx\n\
            a@other.example\tx\n\
            b@example.net\t\n\
            c@example.net\t{SCRAM-SHA-256}nonsense\n\
            d@example.net\t\xff\n\
            romeo@example.net\tnew\r\n\
            nurse@example.net\tpass word";
        let Imported { total, told, store, _folder } = import(text, false);
        assert_eq!(counts(&total), (2, 0, 1, 6));
        assert_eq!(
            told,
            [
                "line 3: has no tab between the address and the password",
                "line 4: \"nobody\" is no account: write it as in romeo@example.net",
                "line 5: other.example is not one of the hosts of this server",
                "line 6: the password is empty or holds characters that are not allowed",
                "line 7: the keys are not of the form {SCRAM-SHA-256}iterations,salt,stored,server",
                "line 8: is not UTF-8",
            ]
        );
        for (jid, password) in [
            ("juliet@example.net", "pencil"),
            ("nurse@example.net", "pass word"),
            ("romeo@example.net", "old"),
        ] {
            let keys = keys(&store, jid);
            assert_eq!(keys.keys.len(), 3);
            for one in keys.keys {
                let again = ScramKeys::derive(one.hash, password, &one.salt, one.iterations).unwrap();
                assert!(again == one, "{jid}");
            }
        }
    }

    #[test]
    fn keys_go_in_as_they_are() {
        let one = ScramKeys::derive(ScramHash::Sha1, "pencil", b"salt of ours", 4096).unwrap();
        let two = ScramKeys::derive(ScramHash::Sha256, "pencil", b"another salt", 5000).unwrap();
        let line = format!("juliet@example.net\t{}\t{}\n", *one.to_text(), *two.to_text());
        let twice = format!("nurse@example.net\t{}\t{}\n", *one.to_text(), *one.to_text());
        let Imported { total, told, store, _folder } = import(format!("{line}{twice}").as_bytes(), false);
        assert_eq!(counts(&total), (1, 0, 0, 1));
        assert_eq!(told, ["line 2: has keys of one mechanism twice"]);
        let stored = keys(&store, "juliet@example.net");
        assert!(
            stored.for_hash(ScramHash::Sha1) == Some(&one)
                && stored.for_hash(ScramHash::Sha256) == Some(&two)
        );
    }

    #[test]
    fn an_account_that_exists_is_replaced_only_when_asked() {
        let Imported { total, store, _folder, .. } = import(b"romeo@example.net\tnew\n", true);
        assert_eq!(counts(&total), (0, 1, 0, 0));
        let one = keys(&store, "romeo@example.net").keys.remove(0);
        assert!(ScramKeys::derive(one.hash, "new", &one.salt, one.iterations).unwrap() == one);
    }

    #[test]
    fn a_file_of_many_batches_goes_in_whole() {
        let one = ScramKeys::derive(ScramHash::Sha256, "pencil", b"salt of ours", 4096).unwrap();
        let text: String = (0..2 * IMPORT_BATCH + 3)
            .map(|number| format!("user{number}@example.net\t{}\n", *one.to_text()))
            .collect();
        let Imported { total, told, .. } = import(text.as_bytes(), false);
        assert_eq!(counts(&total), (2 * IMPORT_BATCH + 3, 0, 0, 0));
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn a_line_without_end_is_refused_without_being_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let config = load(Sources { data: Some(folder.path().to_owned()), ..Sources::default() }).unwrap();
        let mut import = Import::new(Box::new(BufReader::new(io::repeat(b'x'))), "x".to_owned(), false);
        let error = import.next_lines(&config, &mut Vec::new()).err().unwrap();
        assert_eq!(error.to_string(), "x line 1: is longer than 65536 bytes");
    }
}
