//! The bounded queue of log lines, and the one thread that writes them.
//!
//! [`Queue::push`] never waits for the output: its lock is held for a few instructions only, and the writer takes all
//! lines at once and writes without it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use log::{Level, Record};
use parking_lot::{Condvar, Mutex};

use super::line;
use crate::config::LogFormat;

/// How long the writer waits for more lines once it has one, so that a burst wakes it once.
const GATHER: Duration = Duration::from_millis(5);

/// Bytes of lines that wait to be written, with those being written.
const BYTES_MAX: usize = 8 << 20;

/// Where lines go.
#[derive(Debug)]
pub(super) enum Output {
    /// Standard error.
    Stderr,
    /// A file, which may be opened again by its name.
    File {
        /// Its name.
        path: PathBuf,
        /// Opened to append.
        file: File,
    },
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    format: LogFormat,
    waiting: Mutex<Waiting>,
    /// Told to the writer: there is something to do.
    work: Condvar,
    /// Told to the writer while it gathers: somebody waits for it.
    hurry: Condvar,
    /// Told by the writer: something was written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<String>,
    /// Of `lines` and of what the writer has in hand.
    bytes: usize,
    /// Lines ever taken, and of those, written.
    taken: u64,
    done: u64,
    /// Dropped and not yet reported, and ever dropped.
    dropped: u64,
    dropped_total: u64,
    reopen: bool,
    hurried: bool,
}

/// What the writer does next.
struct Batch {
    lines: Vec<String>,
    dropped: u64,
    reopen: bool,
}

impl Queue {
    pub(super) fn new(format: LogFormat) -> Queue {
        Queue {
            format,
            waiting: Mutex::default(),
            work: Condvar::new(),
            hurry: Condvar::new(),
            written: Condvar::new(),
        }
    }

    /// Takes a line, or drops and counts it if there is no room.
    pub(super) fn push(&self, line: String) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + line.len() > BYTES_MAX {
            waiting.dropped += 1;
            waiting.dropped_total += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.taken += 1;
        waiting.lines.push(line);
        let first = waiting.lines.len() == 1;
        drop(waiting);
        if first {
            self.work.notify_one();
        }
    }

    /// Has the file opened again, after what is queued now was written.
    pub(super) fn reopen(&self) {
        self.waiting.lock().reopen = true;
        self.work.notify_one();
    }

    /// Waits until everything taken so far is written.
    pub(super) fn flush(&self, longest: Duration) {
        let until = Instant::now() + longest;
        let mut waiting = self.waiting.lock();
        let taken = waiting.taken;
        waiting.hurried = waiting.done < taken;
        self.hurry.notify_one();
        while waiting.done < taken {
            if self.written.wait_until(&mut waiting, until).timed_out() {
                return;
            }
        }
    }

    pub(super) fn dropped_total(&self) -> u64 {
        self.waiting.lock().dropped_total
    }

    fn next(&self) -> Batch {
        let mut waiting = self.waiting.lock();
        while waiting.lines.is_empty() && waiting.dropped == 0 && !waiting.reopen {
            self.work.wait(&mut waiting);
        }
        if !waiting.hurried {
            self.hurry.wait_for(&mut waiting, GATHER);
        }
        waiting.hurried = false;
        Batch {
            lines: std::mem::take(&mut waiting.lines),
            dropped: std::mem::take(&mut waiting.dropped),
            reopen: std::mem::take(&mut waiting.reopen),
        }
    }

    fn finished(&self, lines: usize, bytes: usize) {
        let mut waiting = self.waiting.lock();
        waiting.bytes -= bytes;
        waiting.done += lines as u64;
        drop(waiting);
        self.written.notify_all();
    }

    fn line_of_ours(&self, level: Level, text: &str) -> String {
        let args = format_args!("{text}");
        line::format(
            self.format,
            SystemTime::now(),
            &Record::builder().level(level).target("server:log").args(args).build(),
        )
    }

    /// Writes one batch. An output that fails loses its lines: there is nobody to tell.
    fn write(&self, batch: Batch, output: &mut Output) {
        let bytes = batch.lines.iter().map(String::len).sum();
        let count = batch.lines.len();
        let mut text = batch.lines.concat();
        if batch.dropped > 0 {
            let report = format!("Dropped {} lines: the log is read or written too slowly", batch.dropped);
            text.push_str(&self.line_of_ours(Level::Warn, &report));
        }
        let _ = output.write(text.as_bytes());
        if batch.reopen
            && let Err(error) = output.reopen()
        {
            let report = format!("Cannot open the log file again, so the old one stays in use: {error}");
            let _ = output.write(self.line_of_ours(Level::Error, &report).as_bytes());
        }
        self.finished(count, bytes);
    }
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::Stderr => io::stderr().lock().write_all(bytes),
            Output::File { file, .. } => file.write_all(bytes),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Output::File { path, file } = self {
            *file = open_file(path)?;
        }
        Ok(())
    }
}

/// Opens a log file to append; a new one only its owner may read.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Starts the thread that writes for as long as the process lives.
pub(super) fn start_writer(queue: Arc<Queue>, mut output: Output) -> io::Result<()> {
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || {
            loop {
                let batch = queue.next();
                queue.write(batch, &mut output);
            }
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_output(folder: &tempfile::TempDir) -> (PathBuf, Output) {
        let path = folder.path().join("log");
        let file = open_file(&path).unwrap();
        (path.clone(), Output::File { path, file })
    }

    #[test]
    fn lines_over_the_bound_are_dropped_and_reported_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut output) = file_output(&folder);
        let queue = Queue::new(LogFormat::Text);
        let line = format!("{}\n", "x".repeat((1 << 20) - 1));
        for _ in 0..11 {
            queue.push(line.clone());
        }
        assert_eq!(queue.dropped_total(), 3);
        queue.write(queue.next(), &mut output);
        queue.push("after\n".to_owned());
        queue.write(queue.next(), &mut output);
        let text = std::fs::read_to_string(path).unwrap();
        let short: Vec<&str> = text.lines().filter(|line| !line.starts_with('x')).collect();
        assert_eq!(text.lines().count() - short.len(), 8);
        assert!(short[0].ends_with("Dropped 3 lines: the log is read or written too slowly"), "{short:?}");
        assert_eq!(short[1..], ["after"]);
    }

    #[test]
    fn lines_that_are_being_written_count_towards_the_bound() {
        let queue = Queue::new(LogFormat::Text);
        queue.push("x".repeat(BYTES_MAX));
        let stuck = queue.next();
        queue.push("y".to_owned());
        assert_eq!(queue.dropped_total(), 1);
        assert_eq!(stuck.lines.len(), 1);
    }

    #[test]
    fn a_written_batch_makes_room_for_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let (_, mut output) = file_output(&folder);
        let queue = Queue::new(LogFormat::Text);
        queue.push("x".repeat(BYTES_MAX / 2));
        let batch = queue.next();
        queue.push("y".repeat(BYTES_MAX / 2));
        queue.write(batch, &mut output);
        queue.push("z".repeat(BYTES_MAX / 2 + 1));
        assert_eq!(queue.dropped_total(), 1);
        queue.push("z".repeat(BYTES_MAX / 2));
        assert_eq!(queue.dropped_total(), 1);
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_again_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, output) = file_output(&folder);
        let queue = Arc::new(Queue::new(LogFormat::Text));
        queue.push("old\n".to_owned());
        let moved = folder.path().join("log.1");
        std::fs::rename(&path, &moved).unwrap();
        queue.reopen();
        start_writer(queue.clone(), output).unwrap();
        queue.flush(Duration::from_secs(60));
        queue.push("new\n".to_owned());
        queue.flush(Duration::from_secs(60));
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "old\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "new\n");
    }

    #[test]
    fn a_flush_of_a_stuck_queue_ends_at_its_deadline() {
        let queue = Queue::new(LogFormat::Text);
        queue.push("x".to_owned());
        queue.flush(Duration::from_millis(1));
        assert_eq!(queue.next().lines, ["x"]);
    }
}
