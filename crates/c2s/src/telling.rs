//! What is told of a connection while it lives: lines of the log, counts, and to the brake what its logins came to.
//!
//! Decides nothing. Secrets never come here.

use rjabberd_c2s_proto::{CloseReason, Deadline, LoggedIn, LostReason};
use rjabberd_transport::TlsInfo;
use rjabberd_xmpp::{
    BareJid,
    sasl::{Mechanism, SaslFailure},
};

use crate::{Attempt, C2s};

impl C2s {
    pub(crate) fn log_tls(&self, info: &TlsInfo) {
        let TlsInfo { version, cipher, group, .. } = info;
        let host = info.server_name.as_deref().unwrap_or("no host");
        let resumed = if info.is_resumed { ", resumed" } else { "" };
        log::debug!(target: "c2s:tls", "{} {version:?} {cipher} {group} for {host:?}{resumed}", self.alive);
    }

    pub(crate) fn logged_in(&self, login: &LoggedIn) {
        let LoggedIn { account, mechanism, sasl2, software, .. } = login;
        let peer = self.transport.peer();
        self.shared.brake.ended(account, peer.ip(), Attempt::Right);
        self.shared.counters.sasl(mechanism.name(), "success");
        let profile = if *sasl2 { " (SASL2)" } else { "" };
        let software = software.as_ref().map(|software| format!(" with {software:?}")).unwrap_or_default();
        log::info!(
            target: "c2s:authenticated",
            "{} {account} logged in by {}{profile} from {peer}{software}", self.alive, mechanism.name()
        );
    }

    pub(crate) fn login_failed(
        &self,
        mechanism: Option<Mechanism>,
        failure: SaslFailure,
        account: Option<&BareJid>,
    ) {
        let peer = self.transport.peer();
        if let Some(account) = account {
            let attempt = match failure {
                SaslFailure::TemporaryAuthFailure => Attempt::Undecided,
                _ => Attempt::Wrong,
            };
            self.shared.brake.ended(account, peer.ip(), attempt);
        }
        let mechanism = mechanism.map_or("unknown", |mechanism| mechanism.name());
        self.shared.counters.sasl(mechanism, failure.name());
        log::info!(
            target: "c2s:authentication_failed",
            "{} login by {mechanism} from {peer} failed: {}", self.alive, failure.name()
        );
    }

    /// One line for each connection, when its last byte is counted; for those that did not log in, within a quota.
    pub(crate) fn log_close(&self) {
        // Without a reason the event loop was stopped under it.
        let label = label(self.close_reason.unwrap_or(CloseReason::Shutdown));
        self.shared.counters.closed(&label);
        let who = match (&self.seat, &self.ending) {
            (Some(seat), _) => seat.jid().to_string(),
            (None, Some(ending)) => ending.jid().to_string(),
            (None, None) => "a stream without session".to_owned(),
        };
        let because = self.refused.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let (received, sent) = self.transport.counts();
        let is_stranger = self.seat.is_none() && self.ending.is_none();
        let level = if is_stranger && received == 0 {
            // A health check.
            log::Level::Debug
        } else {
            log::Level::Info
        };
        if is_stranger && level == log::Level::Info && !self.shared.counters.strangers.admits(say_left_out) {
            return;
        }
        log::log!(
            target: "c2s:close", level,
            "{} Closed {who} from {}: {label}{because}; {} s, {received} bytes received, {sent} sent",
            self.alive, self.transport.peer(), self.accepted.elapsed().as_secs()
        );
    }
}

fn say_left_out(count: u32) {
    log::info!(target: "c2s:close", "Closed {count} more streams without session in that second");
}

/// A close reason as log and metrics name it.
pub(crate) fn label(reason: CloseReason) -> String {
    match reason {
        CloseReason::ClientClosed => "client-closed".to_owned(),
        CloseReason::StreamError(condition) => format!("stream-error-{}", condition.name()),
        CloseReason::Replaced => "replaced".to_owned(),
        CloseReason::Kicked => "kicked".to_owned(),
        CloseReason::Overflowed => "overflowed".to_owned(),
        CloseReason::Evicted => "evicted".to_owned(),
        CloseReason::AccountRemoved => "account-removed".to_owned(),
        CloseReason::CredentialsChanged => "credentials-changed".to_owned(),
        CloseReason::Shutdown => "shutdown".to_owned(),
        CloseReason::TimedOut(Deadline::Header) => "header-timeout".to_owned(),
        CloseReason::TimedOut(Deadline::Negotiation) => "negotiation-timeout".to_owned(),
        CloseReason::TimedOut(Deadline::Idle | Deadline::PingAnswer) => "ping-timeout".to_owned(),
        CloseReason::TimedOut(Deadline::Acknowledgement) => "acknowledgement-timeout".to_owned(),
        CloseReason::TimedOut(Deadline::Resumption) => "not-resumed".to_owned(),
        CloseReason::Lost(LostReason::Eof) => "lost-eof".to_owned(),
        CloseReason::Lost(LostReason::Broken) => "lost-broken".to_owned(),
        CloseReason::Lost(LostReason::WriteStalled) => "lost-write-stalled".to_owned(),
        CloseReason::Lost(LostReason::Tls) => "lost-tls".to_owned(),
        CloseReason::StartTlsFailed => "starttls-failed".to_owned(),
        CloseReason::Panicked => "panicked".to_owned(),
    }
}
