//! Looks now and then whether the files of certificates are others than those in use, and loads them.
//!
//! By asking the file system each time: that works on every one of them, also where files are links that are turned to
//! another folder. Invariants: what is loaded is looked at before it is read, so that a change in between is seen the next
//! time; a problem is told once for as long as it lasts; what had one is tried again each time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rjabberd_storage::DataFolder;

use super::Certificates;

/// How often problems that nothing has changed about are told again.
const DAY: Duration = Duration::from_secs(86_400);

/// What tells one state of a file from another: device, inode, bytes, and when it was written (s, ns).
type Stamp = (u64, u64, u64, i64, i64);

/// The files of certificates, and what is known of them.
#[derive(Debug)]
pub struct Watch {
    certificates: Arc<Certificates>,
    folder: Arc<DataFolder>,
    /// `None` is a file that is not there.
    stamps: BTreeMap<PathBuf, Option<Stamp>>,
    /// Problems that were told and last.
    told: BTreeSet<String>,
    told_all: Instant,
}

impl Watch {
    /// Begins to watch. `certificates` were just loaded and logged.
    pub fn new(certificates: Arc<Certificates>, folder: Arc<DataFolder>) -> Watch {
        // The first look loads them once more: they may have changed since.
        let stamps = BTreeMap::new();
        Watch { certificates, folder, stamps, told: BTreeSet::new(), told_all: Instant::now() }
    }

    /// Loads the files if they have changed, or could not be used the last time, or a day is over: the self-signed one is
    /// made anew in time. To be called every few seconds.
    pub fn look(&mut self) {
        let stamps = stamps(&self.certificates);
        let day_is_over = self.told_all.elapsed() > DAY;
        if stamps != self.stamps || !self.told.is_empty() || day_is_over {
            self.stamps = stamps;
            self.load(false).iter().for_each(|line| tell(line));
        }
        if day_is_over {
            self.told_all = Instant::now();
            self.certificates.log_problems(SystemTime::now());
        }
    }

    /// Loads the files whether they have changed or not, and tells what is in use.
    pub fn reload(&mut self) {
        self.stamps = stamps(&self.certificates);
        self.load(true).iter().for_each(|line| tell(line));
    }

    /// Loads; gives the problems, all or only those that are new.
    fn load(&mut self, everything: bool) -> Vec<String> {
        let reloaded = self.certificates.reload(&self.folder, SystemTime::now());
        if everything || reloaded.changed {
            self.certificates.log();
        }
        let told = std::mem::replace(&mut self.told, reloaded.kept.iter().cloned().collect());
        reloaded.kept.into_iter().filter(|line| everything || !told.contains(line)).collect()
    }
}

fn tell(problem: &str) {
    log::error!(target: "server:reload", "What was loaded before stays in use: {problem}");
}

fn stamps(certificates: &Certificates) -> BTreeMap<PathBuf, Option<Stamp>> {
    let stamp = |file: PathBuf| {
        let stamp = std::fs::metadata(&file)
            .map(|data| (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()));
        (file, stamp.ok())
    };
    certificates.files().into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::tests::{host, write};

    #[test]
    fn a_problem_is_told_once_as_long_as_it_lasts_and_again_when_it_comes_back_or_somebody_asks() {
        let folder = tempfile::tempdir().unwrap();
        let data = Arc::new(DataFolder::open(&folder.path().join("data")).unwrap());
        let files = write(&folder, "a", &["a.example"], (2020, 2090));
        let hosts = [host("a.example", Some(files.clone()))];
        let mut watch = Watch::new(Arc::new(Certificates::load(&hosts, &data).unwrap()), data);
        assert_eq!(watch.load(false), [""; 0]);
        let key = std::fs::read(&files.key).unwrap();
        std::fs::remove_file(&files.key).unwrap();
        assert_eq!(watch.load(false).len(), 1);
        assert_eq!(watch.load(false).len(), 0);
        std::fs::write(&files.key, "").unwrap();
        assert_eq!(watch.load(false).len(), 1, "another problem");
        assert_eq!(watch.load(true).len(), 1);
        std::fs::write(&files.key, key).unwrap();
        assert_eq!(watch.load(false).len(), 0);
        std::fs::write(&files.key, "").unwrap();
        assert_eq!(watch.load(false).len(), 1, "the same problem anew");
    }
}
