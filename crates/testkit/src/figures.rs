//! What the kernel says about a process: memory, threads, open files. Linux only.

use std::fs;

/// The figures of one process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Resident memory.
    pub resident_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Processor time used so far, user and kernel, in clock ticks.
    pub ticks: u64,
}

impl Figures {
    /// Reads the figures of a running process; `None` once it is gone.
    pub fn of(pid: u32) -> Option<Figures> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        // Behind the program's name, which stands in brackets and may hold spaces: utime and stime are 12th and 13th.
        let ticks = stat.rsplit(')').next()?.split_ascii_whitespace().skip(11).take(2);
        Some(Figures {
            resident_kib: number("VmRSS:")?,
            threads: number("Threads:")?,
            files,
            ticks: ticks.filter_map(|field| field.parse::<u64>().ok()).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn this_very_process_has_memory_threads_and_files() {
        let figures = Figures::of(std::process::id()).unwrap();
        assert!(figures.resident_kib > 100 && figures.threads >= 1 && figures.files >= 3, "{figures:?}");
    }

    #[test]
    fn a_process_that_does_not_exist_has_none() {
        assert_eq!(Figures::of(u32::MAX), None);
    }
}
