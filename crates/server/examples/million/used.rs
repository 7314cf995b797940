//! What the kernel says of this process: memory, and processor time apart from that of the clients' thread.

use rjabberd_testkit::Figures;

use crate::Fault;

/// A tick of Linux' clock for processes.
const TICK_US: u64 = 10_000;

/// Resident memory.
pub(crate) fn resident_kib() -> Result<u64, Fault> {
    Ok(of_process()?.resident_kib)
}

fn of_process() -> Result<Figures, Fault> {
    Figures::of(std::process::id()).ok_or_else(|| "the kernel says nothing of this process".into())
}

fn of_thread() -> Result<u64, Fault> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Processor time that all other threads used while the calling one did its work.
pub(crate) struct Used {
    ticks: u64,
}

impl Used {
    pub(crate) fn during(work: impl FnOnce() -> Result<(), Fault>) -> Result<Used, Fault> {
        let before = (of_process()?.ticks, of_thread()?);
        work()?;
        let after = (of_process()?.ticks, of_thread()?);
        Ok(Used { ticks: (after.0 - before.0).saturating_sub(after.1 - before.1) })
    }

    /// For each of so many.
    pub(crate) fn server_us(&self, count: usize) -> u64 {
        self.ticks * TICK_US / count.max(1) as u64
    }
}
