//! What the running system says of itself: one JSON object, for `rjabberd stats`.

use rjabberd_storage::{QueueSnapshot, SqliteStore};
use serde_json::{Value, json};

use crate::wiring::System;

/// All counters, each read once.
pub fn stats(system: &System, store: &SqliteStore) -> Value {
    let actors: serde_json::Map<String, Value> = rjabberd_actors::kind::snapshot()
        .into_iter()
        .map(|kind| {
            let counters = json!({
                "alive": kind.alive,
                "started": kind.started,
                "panicked": kind.panicked,
                "depth": kind.depth,
                "depth_high": kind.depth_high,
                "bytes": kind.bytes,
                "handled": kind.handled,
                "handling_us": kind.handling.as_micros() as u64,
                "refused": kind.refused,
                "dropped": kind.dropped,
                "yields": kind.yields,
            });
            (kind.name.to_owned(), counters)
        })
        .collect();
    let arbiters: Vec<Value> = system
        .arbiters
        .arbiters()
        .iter()
        .map(|arbiter| {
            let (last, high) = arbiter.lag();
            json!({ "lag_us": last, "lag_high_us": high })
        })
        .collect();
    let (admitted, accepted, refused) = system.census.counts();
    let (offload_waiting, offload_refused) = system.offload.counts();
    let (stalled, held) = system.counters.slow_readers();
    let received = rjabberd_receiver::COUNTERS.snapshot();
    let routed = system.router.counters().snapshot();
    let queue = |queue: QueueSnapshot| {
        json!({
            "operations": queue.operations,
            "failures": queue.failures,
            "expired": queue.expired,
            "refused": queue.refused,
            "depth": queue.depth,
            "depth_high": queue.depth_max,
            "busy_us": queue.busy_us,
        })
    };
    let stored = store.metrics().snapshot();
    json!({
        "sessions": system.table.sessions(),
        "connections": admitted,
        "connections_accepted": accepted,
        "connections_refused": refused,
        "actors": actors,
        "arbiters": arbiters,
        "streams_closed": system.counters.closed_by_reason(),
        "sasl": system.counters.sasl_by_result(),
        "readers_stalled": stalled,
        "readers_held": held,
        "receivers": {
            "bytes": received.bytes,
            "keepalives": received.keepalives,
            "xml_refused": received.refused,
            "pauses": received.pauses,
            "paused_ms": received.paused_ms,
        },
        "offload_waiting": offload_waiting,
        "offload_refused": offload_refused,
        "stanzas": {
            "messages": routed.messages,
            "presences": routed.presences,
            "iqs": routed.iqs,
            "delivered": routed.delivered,
            "bounced": routed.bounced,
            "dropped": routed.dropped,
            "came_back": routed.came_back,
        },
        "store": {
            "reads": queue(stored.reads),
            "writes": queue(stored.writes),
            "commits": stored.commits,
            "commits_failed": stored.commits_failed,
            "group_sum": stored.group_sum,
            "group_max": stored.group_max,
            "panics": stored.panics,
            "reopened": stored.reopened,
        },
        "log_lines_dropped": crate::logging::dropped_total(),
    })
}
