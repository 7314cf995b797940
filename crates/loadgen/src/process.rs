//! CPU time and resident memory of processes, as the kernel counts them.

use std::{
    collections::BTreeMap,
    fs,
    ops::{Add, Sub},
};

/// CPU time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// In user space.
    pub user_us: f64,
    /// In the kernel.
    pub sys_us: f64,
}

impl Cpu {
    /// Both.
    pub fn total_us(self) -> f64 {
        self.user_us + self.sys_us
    }
}

impl Add for Cpu {
    type Output = Cpu;
    fn add(self, other: Cpu) -> Cpu {
        Cpu { user_us: self.user_us + other.user_us, sys_us: self.sys_us + other.sys_us }
    }
}

impl Sub for Cpu {
    type Output = Cpu;
    fn sub(self, other: Cpu) -> Cpu {
        Cpu { user_us: self.user_us - other.user_us, sys_us: self.sys_us - other.sys_us }
    }
}

/// The processes that a server consists of.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    pids: Vec<u32>,
    with_children: bool,
}

impl Processes {
    /// These processes, and all that descend from them if asked. An unknown one is told.
    pub fn new(pids: &[u32], with_children: bool) -> Result<Processes, String> {
        match pids.iter().find(|pid| stat(**pid).is_none()) {
            Some(pid) => Err(format!("there is no process {pid}")),
            None => Ok(Processes { pids: pids.to_vec(), with_children }),
        }
    }

    /// This process alone.
    pub fn own() -> Processes {
        Processes { pids: vec![std::process::id()], with_children: false }
    }

    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// What they have used so far, all their threads together; those that ended are missing.
    pub fn cpu(&self) -> Cpu {
        self.all().into_iter().filter_map(stat).map(|stat| stat.cpu).fold(Cpu::default(), Add::add)
    }

    /// Their resident memory, to the page.
    pub fn rss_kib(&self) -> u64 {
        self.all().into_iter().map(|pid| rollup_kib(pid).unwrap_or_else(|| statm_kib(pid))).sum()
    }

    /// Their resident memory as the kernel's quick counters have it: for a look every moment.
    pub fn rss_kib_quick(&self) -> u64 {
        self.all().into_iter().map(statm_kib).sum()
    }

    fn all(&self) -> Vec<u32> {
        if !self.with_children {
            return self.pids.clone();
        }
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        let mut all = self.pids.clone();
        let mut next = 0;
        while let Some(pid) = all.get(next) {
            let new: Vec<u32> = children.remove(pid).into_iter().flatten().collect();
            all.extend(new.into_iter().filter(|pid| !self.pids.contains(pid)));
            next += 1;
        }
        all
    }
}

struct Stat {
    parent: u32,
    cpu: Cpu,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields as of proc(5), after the command's closing parenthesis: 3 is the state, 4 the parent, 14 and 15 the times.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        cpu: Cpu { user_us: ticks(14)? * tick_us, sys_us: ticks(15)? * tick_us },
    })
}

fn rollup_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn statm_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: Option<u64> = text.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64 / 1024
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn times_are_read_behind_a_command_with_brackets_in_it() {
        let stat = parse_stat("7 (a) b) S 3 1 1 0 -1 4 1 0 0 0 250 50 9 9 20 0 1 0 1").unwrap();
        let tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(stat.parent, 3);
        assert_eq!(stat.cpu, Cpu { user_us: 250.0 * tick_us, sys_us: 50.0 * tick_us });
    }

    #[test]
    fn this_process_has_memory_and_a_process_that_is_not_there_is_told() {
        let own = Processes::own();
        assert!(own.rss_kib() > 500 && own.rss_kib_quick() > 500);
        assert!(Processes::new(&[u32::MAX], false).is_err());
    }

    #[test]
    fn children_are_counted_when_asked_for() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let own = std::process::id();
        assert!(Processes::new(&[own], true).unwrap().all().contains(&child.id()));
        assert_eq!(Processes::new(&[own], false).unwrap().all(), [own]);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
