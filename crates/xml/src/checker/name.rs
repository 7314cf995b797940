//! Qualified names as they are written (Namespaces in XML 1.0, 4).

use crate::names;
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

    pub(super) fn of(self, frame: &str) -> &str {
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
    /// The name that begins at `at`. Beyond ASCII, its parts are looked up in the tables of [`names`].
    pub(super) fn read(frame: &str, at: usize, is_ascii: bool) -> Option<Name> {
        let rest = frame.as_bytes().get(at..)?;
        let (mut local, mut length) = (0, 0);
        while let Some(&byte) = rest.get(length)
            && is_name(byte)
        {
            length += 1;
            if byte == b':' {
                // A second colon, or one without a prefix.
                if local > 0 || length == 1 {
                    return None;
                }
                local = length;
            }
        }
        if !is_name_start(*rest.first()?) || local == length || !is_name_start(rest[local]) {
            return None;
        }
        let whole = Place::new(at, at + length)?;
        let name =
            Name { start: whole.start, local: whole.start + u32::try_from(local).ok()?, end: whole.end };
        let is_name_beyond = |part: &str| part.is_empty() || names::is_name(part);
        (is_ascii || (is_name_beyond(name.prefix(frame)) && is_name_beyond(name.local().of(frame))))
            .then_some(name)
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The name with its prefix.
    pub(super) fn written(self, frame: &str) -> &str {
        Place { start: self.start, end: self.end }.of(frame)
    }

    /// The prefix, empty where there is none.
    pub(super) fn prefix(self, frame: &str) -> &str {
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
    pub(super) fn declares(self, frame: &str) -> Option<Place> {
        if self.written(frame) == "xmlns" {
            Some(Place { start: self.start, end: self.start })
        } else {
            (self.prefix(frame) == "xmlns").then(|| self.local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str)> {
        let name = Name::read(text, 0, text.is_ascii())?;
        Some((name.prefix(text), name.local().of(text)))
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
