//! The log of a server under test: collected line by line, searched, waited for.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The lines a server has written so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    /// Sources that have not ended: a server that is started again may be read before the one that was killed is read
    /// to its end.
    open: usize,
}

impl Log {
    /// Collects everything that `source` gives, on a thread of its own, until it ends.
    pub fn collect(&self, source: impl Read + Send + 'static) {
        let log = self.clone();
        log.lock().open += 1;
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                log.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
                log.shared.1.notify_all();
            }
            log.lock().open -= 1;
            log.shared.1.notify_all();
        });
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// How many lines there are: a mark for [`Log::wait_after`].
    pub fn mark(&self) -> usize {
        self.lock().lines.len()
    }

    /// The first line, from the line `mark` on, that `wanted` says yes to; `None` when `patience` is over or every
    /// source has ended without it.
    pub fn wait_after(
        &self,
        mark: usize,
        patience: Duration,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> Option<String> {
        let deadline = Instant::now() + patience;
        let mut seen = mark;
        let mut lines = self.lock();
        loop {
            while seen < lines.lines.len() {
                if wanted(&lines.lines[seen]) {
                    return Some(lines.lines[seen].clone());
                }
                seen += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.open == 0 || left.is_zero() {
                return None;
            }
            lines = self.shared.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Log;
    use crate::PATIENCE;

    #[test]
    fn a_line_is_found_however_late_it_comes() {
        let log = Log::default();
        let (reader, mut writer) = std::io::pipe().unwrap();
        log.collect(reader);
        let waiting = log.clone();
        let waiter = std::thread::spawn(move || waiting.wait_after(0, PATIENCE, |line| line.contains("two")));
        std::io::Write::write_all(&mut writer, b"one\nline two\n").unwrap();
        assert_eq!(waiter.join().unwrap().as_deref(), Some("line two"));
    }

    #[test]
    fn the_late_end_of_one_source_does_not_end_the_wait_for_another() {
        let log = Log::default();
        let (first, first_writer) = std::io::pipe().unwrap();
        let (second, mut second_writer) = std::io::pipe().unwrap();
        log.collect(first);
        log.collect(second);
        drop(first_writer);
        while log.lock().open == 2 {
            std::thread::yield_now();
        }
        let waiting = log.clone();
        let waiter = std::thread::spawn(move || waiting.wait_after(0, PATIENCE, |line| line.contains("two")));
        std::io::Write::write_all(&mut second_writer, b"line two\n").unwrap();
        assert_eq!(waiter.join().unwrap().as_deref(), Some("line two"));
    }

    #[test]
    fn the_end_of_the_log_ends_the_wait() {
        let log = Log::default();
        log.collect(&b"one\n"[..]);
        assert_eq!(log.wait_after(0, PATIENCE, |line| line.contains("two")), None);
    }
}
