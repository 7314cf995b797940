//! Qualified names as they are written (Namespaces in XML 1.0, 4).

use crate::piece::Piece;
use crate::scan::{is_name, is_name_start};

/// A range of a frame's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Place {
    /// `None` in a frame that is too long to count in.
    pub(super) fn new(start: usize, end: usize) -> Option<Place> {
        Some(Place { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    pub(super) fn of(self, frame: &[u8]) -> &[u8] {
        &frame[self.start as usize..self.end as usize]
    }

    pub(super) fn piece(self) -> Piece {
        Piece::At { start: self.start, end: self.end }
    }
}

/// Where a name stands in its frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    start: u32,
    /// Where the local name begins: at `start`, or behind the colon.
    local: u32,
    end: u32,
}

impl Name {
    /// The name that begins at `at`. `is_name` looks at a prefix or local name beyond ASCII.
    pub(super) fn read(frame: &[u8], at: usize, is_name_beyond: fn(&[u8]) -> bool) -> Option<Name> {
        let rest = frame.get(at..)?;
        let mut colon = None;
        let mut length = 0;
        while let Some(&byte) = rest.get(length)
            && is_name(byte)
        {
            if byte == b':' && colon.replace(length).is_some() {
                return None;
            }
            length += 1;
        }
        let local = colon.map_or(0, |colon| colon + 1);
        let is_part =
            |part: &[u8]| part.first().is_some_and(|&first| is_name_start(first)) && is_name_beyond(part);
        if !is_part(&rest[local..length]) || !colon.is_none_or(|colon| is_part(&rest[..colon])) {
            return None;
        }
        let whole = Place::new(at, at + length)?;
        Some(Name { start: whole.start, local: whole.start + u32::try_from(local).ok()?, end: whole.end })
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The name with its prefix.
    pub(super) fn written(self, frame: &[u8]) -> &[u8] {
        Place { start: self.start, end: self.end }.of(frame)
    }

    /// The prefix, empty where there is none.
    pub(super) fn prefix(self, frame: &[u8]) -> &[u8] {
        let end = if self.has_prefix() { self.local - 1 } else { self.start };
        Place { start: self.start, end }.of(frame)
    }

    pub(super) fn has_prefix(self) -> bool {
        self.local > self.start
    }

    /// The name without its prefix.
    pub(super) fn local(self) -> Place {
        Place { start: self.local, end: self.end }
    }

    /// The prefix that an attribute of this name declares, the empty one for the default namespace.
    pub(super) fn declares(self, frame: &[u8]) -> Option<Place> {
        if self.written(frame) == b"xmlns" {
            Some(Place { start: self.start, end: self.start })
        } else {
            (self.prefix(frame) == b"xmlns").then(|| self.local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str)> {
        let beyond = |part: &[u8]| std::str::from_utf8(part).is_ok_and(crate::names::is_name);
        let name = Name::read(text.as_bytes(), 0, beyond)?;
        let part = |part| std::str::from_utf8(part).unwrap_or_default();
        Some((part(name.prefix(text.as_bytes())), part(name.local().of(text.as_bytes()))))
    }

    #[test]
    fn a_name_has_at_most_one_prefix_and_no_empty_part() {
        for (text, expected) in [
            ("a>", Some(("", "a"))),
            ("xml:lang='", Some(("xml", "lang"))),
            ("größe", Some(("", "größe"))),
            ("ü:é ", Some(("ü", "é"))),
            ("a-b.c_9/", Some(("", "a-b.c_9"))),
            ("", None),
            (":a", None),
            ("a:", None),
            ("a:b:c", None),
            ("9a", None),
            ("a:9", None),
            ("-a", None),
            ("\u{D7}", None),
            ("a\u{10000}", None),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }
}
