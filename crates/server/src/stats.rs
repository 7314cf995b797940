//! What the running system says of itself: one JSON object, for `rjabberd stats`. Each figure is explained in
//! `docs/operations.md`.

use rjabberd_actors::KindSnapshot;
use rjabberd_storage::{QueueSnapshot, SqlStore};
use serde_json::{Map, Value, json};

use crate::wiring::System;

/// All counters, each read once.
pub fn stats(system: &System, store: &SqlStore) -> Value {
    let (admitted, accepted, refused) = system.census.counts();
    let (offload_waiting, offload_refused) = system.offload.counts();
    let (stalled, held) = system.counters.slow_readers();
    json!({
        "sessions": system.table.sessions(),
        "connections": admitted,
        "connections_accepted": accepted,
        "connections_refused": refused,
        "connections_refused_by": named(&system.census.refusals()),
        "proxied": proxied(),
        "actors": actors(),
        "arbiters": arbiters(system),
        "streams_closed": system.counters.closed_by_reason(),
        "sasl": system.counters.sasl_by_result(),
        "login_delays": login_delays(system),
        "stream_management": stream_management(system),
        "readers_stalled": stalled,
        "readers_held": held,
        "receivers": receivers(),
        "offload_waiting": offload_waiting,
        "offload_refused": offload_refused,
        "stanzas": stanzas(system),
        "offline": offline(system),
        "archive": archive(system),
        "carbons": carbons(system),
        "push": push(system),
        "reports": reports(system),
        "pep": pep(system),
        "store": stored(store),
        "log_lines_dropped": crate::logging::dropped_total(),
    })
}

fn actors() -> Map<String, Value> {
    let counters = |kind: KindSnapshot| {
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
    };
    rjabberd_actors::kind::snapshot().into_iter().map(counters).collect()
}

fn arbiters(system: &System) -> Vec<Value> {
    let lags = system.arbiters.arbiters().iter().map(|arbiter| arbiter.lag());
    lags.map(|(last, high)| json!({ "lag_us": last, "lag_high_us": high })).collect()
}

fn login_delays(system: &System) -> Value {
    let delays = system.login_delays.snapshot();
    json!({ "attempts": delays.attempts, "ms": delays.ms, "unanswered": delays.unanswered })
}

fn stream_management(system: &System) -> Value {
    let management = system.counters.management();
    json!({
        "enabled": management.managed,
        "hibernated": management.hibernated,
        "resumed": management.resumed,
        "window_passed": management.window_passed,
        "waiting": system.table.hibernated(),
    })
}

fn receivers() -> Value {
    let received = rjabberd_receiver::COUNTERS.snapshot();
    json!({
        "bytes": received.bytes,
        "keepalives": received.keepalives,
        "xml_refused": received.refused,
        "xml_refused_by": named(&received.refused_by),
        "pauses": received.pauses,
        "paused_ms": received.paused_ms,
    })
}

/// Connections that came through proxies.
fn proxied() -> Value {
    let (accepted, refused) = rjabberd_listener::PROXIED.counts();
    json!({ "connections": accepted, "headers_refused": refused })
}

fn named(counts: &[(&'static str, u64)]) -> Map<String, Value> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect()
}

fn stanzas(system: &System) -> Value {
    let routed = system.router.counters().snapshot();
    json!({
        "messages": routed.messages,
        "presences": routed.presences,
        "iqs": routed.iqs,
        "delivered": routed.delivered,
        "bounced": routed.bounced,
        "dropped": routed.dropped,
        "came_back": routed.came_back,
    })
}

fn reports(system: &System) -> Map<String, Value> {
    let counts = system.im.reports.counts().into_iter();
    counts.map(|(reason, count)| (reason.to_owned(), count.into())).collect()
}

fn pep(system: &System) -> Value {
    let pep = system.im.pep.snapshot();
    json!({
        "published": pep.published,
        "events": pep.events,
        "caps_asked": pep.caps_asked,
        "caps_wrong": pep.caps_wrong,
        "caps_known": pep.caps_known,
    })
}

fn push(system: &System) -> Value {
    let push = system.im.push.snapshot();
    json!({
        "hints": push.hints,
        "coalesced": push.coalesced,
        "sent": push.sent,
        "accepted": push.accepted,
        "dropped": push.dropped,
        "unanswered": push.unanswered,
        "removed": push.removed,
        "errors": named(&push.errors),
        "waiting": push.waiting,
        "queued": push.queued,
    })
}

fn offline(system: &System) -> Value {
    let offline = system.router.im().offline.snapshot();
    json!({
        "kept": offline.kept,
        "given": offline.given,
        "refused": offline.refused,
        "expired": offline.expired,
    })
}

fn archive(system: &System) -> Value {
    let archives = system.im.archives.snapshot();
    json!({
        "stored": archives.stored,
        "refused": archives.refused,
        "failed": archives.failed,
        "storing": archives.storing,
        "queries": archives.queries,
        "given": archives.given,
        "expired": archives.expired,
    })
}

fn carbons(system: &System) -> Value {
    let (sent, received) = system.im.carbons.counts();
    json!({ "sent": sent, "received": received })
}

fn stored(store: &SqlStore) -> Value {
    let stored = store.metrics().snapshot();
    json!({
        "reads": queue(stored.reads),
        "writes": queue(stored.writes),
        "commits": stored.commits,
        "commits_failed": stored.commits_failed,
        "group_sum": stored.group_sum,
        "group_max": stored.group_max,
        "panics": stored.panics,
        "reopened": stored.reopened,
    })
}

fn queue(queue: QueueSnapshot) -> Value {
    json!({
        "operations": queue.operations,
        "failures": queue.failures,
        "expired": queue.expired,
        "refused": queue.refused,
        "depth": queue.depth,
        "depth_high": queue.depth_max,
        "busy_us": queue.busy_us,
    })
}
