//! How many lines a second a peer may make us log: what is over is counted, and becomes one line when the second is over.
//!
//! It writes nothing itself. Invariant: whatever was left out is told, by the next summary at the latest, and without
//! waiting for another line.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{runtime::Handle, time::Instant};

/// What the quota is for.
const WINDOW: Duration = Duration::from_secs(1);

/// Lines of one kind; clones share it.
#[derive(Clone, Debug)]
pub struct LineQuota {
    lines_max: u32,
    window: Arc<Mutex<Window>>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u32,
    left_out: u32,
    /// Somebody waits to tell what was left out.
    summing: bool,
}

impl LineQuota {
    /// So many lines a second.
    pub fn new(lines_max: u32) -> LineQuota {
        let window = Window { since: Instant::now(), lines: 0, left_out: 0, summing: false };
        LineQuota { lines_max, window: Arc::new(Mutex::new(window)) }
    }

    /// Whether a line may be written now. The first that may not has `summary` called when the second is over, with how
    /// many there were; outside a runtime, the next that finds one does.
    pub fn admits(&self, summary: impl FnOnce(u32) + Send + 'static) -> bool {
        let mut window = self.window.lock();
        if window.since.elapsed() >= WINDOW {
            (window.since, window.lines) = (Instant::now(), 0);
        }
        if window.lines < self.lines_max {
            window.lines += 1;
            return true;
        }
        window.left_out += 1;
        if !window.summing
            && let Ok(runtime) = Handle::try_current()
        {
            window.summing = true;
            let (quota, end) = (self.clone(), window.since + WINDOW);
            runtime.spawn(async move {
                tokio::time::sleep_until(end).await;
                quota.window.lock().summing = false;
                quota.sum_up(summary);
            });
        }
        false
    }

    /// Calls `summary` at once, if anything was left out.
    pub fn sum_up(&self, summary: impl FnOnce(u32)) {
        let left_out = std::mem::take(&mut self.window.lock().left_out);
        if left_out > 0 {
            summary(left_out);
        }
    }
}
