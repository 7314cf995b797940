//! One record as one line of text or JSON.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, Record};

use crate::config::LogFormat;
use rjabberd_xmpp::date::civil;

/// Longest message that is kept; of a longer one, the start.
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// The record as a line, with its line feed.
pub(super) fn format(format: LogFormat, time: SystemTime, record: &Record<'_>) -> String {
    let message = match record.args().as_str() {
        Some(text) => text.to_owned(),
        None => record.args().to_string(),
    };
    let (actor, text) = split_actor(&message);
    let text = Shortened::of(text);
    match format {
        LogFormat::Text => as_text(time, record, actor, &text),
        LogFormat::Json => as_json(time, record, actor, &text),
    }
}

fn as_text(time: SystemTime, record: &Record<'_>, actor: Option<&str>, text: &Shortened<'_>) -> String {
    let mut line = String::with_capacity(text.kept.len() + 80);
    push_time(&mut line, time);
    line.push_str(" [");
    line.push_str(level_name(record.level()));
    line.push_str("] ");
    if let Some(actor) = actor {
        line.push('<');
        line.push_str(actor);
        line.push_str("> ");
    }
    push_escaped(&mut line, record.target());
    line.push(' ');
    push_escaped(&mut line, text.kept);
    push_rest(&mut line, text.cut_bytes);
    line.push('\n');
    line
}

fn as_json(time: SystemTime, record: &Record<'_>, actor: Option<&str>, text: &Shortened<'_>) -> String {
    let mut written = String::new();
    push_time(&mut written, time);
    let mut message = String::with_capacity(text.kept.len());
    push_escaped(&mut message, text.kept);
    push_rest(&mut message, text.cut_bytes);
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), written.into());
    object.insert("level".to_owned(), level_name(record.level()).into());
    if let Some(actor) = actor {
        object.insert("actor".to_owned(), actor.into());
    }
    object.insert("function".to_owned(), record.target().into());
    object.insert("message".to_owned(), message.into());
    let mut line = serde_json::Value::Object(object).to_string();
    line.push('\n');
    line
}

/// A message that may be cut.
struct Shortened<'a> {
    kept: &'a str,
    cut_bytes: usize,
}

impl Shortened<'_> {
    fn of(text: &str) -> Shortened<'_> {
        let kept = &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)];
        Shortened { kept, cut_bytes: text.len() - kept.len() }
    }
}

fn push_rest(line: &mut String, cut_bytes: usize) {
    if cut_bytes > 0 {
        let _ = write!(line, "… ({cut_bytes} bytes more)");
    }
}

/// The actor's id at the start of a message, and the rest.
fn split_actor(message: &str) -> (Option<&str>, &str) {
    let is_id = |id: &str| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    match message.strip_prefix('<').and_then(|rest| rest.split_once("> ")) {
        Some((id, rest)) if is_id(id) => (Some(id), rest),
        _ => (None, message),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Appends the text with everything escaped that could make it look like another line or read in another order.
fn push_escaped(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(must_be_escaped) {
        let (before, from) = rest.split_at(at);
        line.push_str(before);
        let mut characters = from.chars();
        if let Some(character) = characters.next() {
            let _ = write!(line, "\\u{{{:x}}}", u32::from(character));
        }
        rest = characters.as_str();
    }
    line.push_str(rest);
}

fn must_be_escaped(character: char) -> bool {
    // C0, DEL and C1; line and paragraph separator; marks, embeddings and isolates of writing direction.
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends the time as `2026-11-23T06:30:00.123Z`.
fn push_time(line: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let ms = since.subsec_millis();
    let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(form: LogFormat, target: &str, message: &str) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_415_400_123);
        format(
            form,
            time,
            &Record::builder().level(Level::Info).target(target).args(format_args!("{message}")).build(),
        )
    }

    #[test]
    fn a_line_has_time_level_actor_function_and_text() {
        assert_eq!(
            line(LogFormat::Text, "c2s:bound", "<c2s.42> Opened session"),
            "2026-11-23T06:30:00.123Z [info] <c2s.42> c2s:bound Opened session\n"
        );
        assert_eq!(
            line(LogFormat::Text, "server:start", "Ready"),
            "2026-11-23T06:30:00.123Z [info] server:start Ready\n"
        );
    }

    #[test]
    fn a_peer_cannot_forge_a_line() {
        let text = line(
            LogFormat::Text,
            "c2s:read",
            "Received \"a\r\n2026 [info] forged\u{1b}[2J\u{85}\u{2028}\u{202e}b\"",
        );
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.ends_with(
                "Received \"a\\u{d}\\u{a}2026 [info] forged\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}b\"\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn only_a_plain_id_counts_as_an_actor() {
        assert!(
            line(LogFormat::Text, "a:b", "<presence to='x'> came").ends_with(" a:b <presence to='x'> came\n")
        );
        assert!(line(LogFormat::Text, "a:b", "<> came").ends_with(" a:b <> came\n"));
    }

    #[test]
    fn a_json_line_is_one_object_with_the_same_parts() {
        let text = line(LogFormat::Json, "c2s:bound", "<c2s.42> A \"quote\"\n");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "time": "2026-11-23T06:30:00.123Z", "level": "info", "actor": "c2s.42",
                "function": "c2s:bound", "message": "A \"quote\"\\u{a}"
            })
        );
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_between_characters() {
        let text = line(LogFormat::Text, "a:b", &"ä".repeat(MESSAGE_BYTES_MAX));
        assert!(text.ends_with(&format!("ä… ({MESSAGE_BYTES_MAX} bytes more)\n")));
    }
}
