//! One start tag (XML 1.0, 3.1): its name, its declarations, its other attributes.

use memchr::memchr_iter;
use smallvec::SmallVec;

use super::name::{Name, Place};
use super::reference;
use super::scope::Scope;
use crate::Limits;
use crate::element::Attribute;
use crate::piece::Piece;
use crate::scan::{plain_len, space_len};

/// As many as framers let through; more are the reader's.
const ATTRIBUTES_MAX: usize = Limits::AUTHENTICATED.attributes_max as usize;

/// The start tag that was read last; reading again reuses its memory.
pub(super) struct StartTag {
    pub(super) name: Name,
    attributes: SmallVec<[Written; 8]>,
    is_ascii: bool,
}

/// An attribute as it is written.
#[derive(Clone, Copy)]
struct Written {
    name: Name,
    value: Place,
}

impl StartTag {
    pub(super) fn new(is_ascii: bool) -> StartTag {
        StartTag { name: Name::default(), attributes: SmallVec::new(), is_ascii }
    }

    /// Reads the tag that begins at `start`; says where it ends, and whether it is an empty element's. All its
    /// declarations are in effect from then on, wherever they stand in it.
    pub(super) fn read<'a>(
        &mut self,
        frame: &'a str,
        start: usize,
        scope: &mut Scope<'a>,
    ) -> Option<(usize, bool)> {
        let bytes = frame.as_bytes();
        if bytes.get(start) != Some(&b'<') {
            return None;
        }
        self.attributes.clear();
        self.name = Name::read(frame, start + 1, self.is_ascii)?;
        let mut at = self.name.end();
        let is_empty = loop {
            let spaces = space_len(&bytes[at..]);
            at += spaces;
            match bytes.get(at)? {
                b'>' => break false,
                b'/' if bytes.get(at + 1) == Some(&b'>') => break true,
                _ if spaces > 0 => at = self.attribute(frame, at, scope)?,
                _ => return None,
            }
        };
        self.tell_apart(frame, scope)?;
        Some((at + if is_empty { "/>".len() } else { ">".len() }, is_empty))
    }

    /// Reads one attribute or declaration; says where it ends.
    fn attribute<'a>(&mut self, frame: &'a str, start: usize, scope: &mut Scope<'a>) -> Option<usize> {
        let bytes = frame.as_bytes();
        let name = Name::read(frame, start, self.is_ascii)?;
        let mut at = name.end() + space_len(&bytes[name.end()..]);
        if bytes.get(at) != Some(&b'=') {
            return None;
        }
        at += 1 + space_len(&bytes[at + 1..]);
        let quote = *bytes.get(at).filter(|quote| matches!(quote, b'"' | b'\''))?;
        let value_start = at + 1;
        let value_end = value_start + plain_len(&bytes[value_start..], quote, b'<');
        if bytes.get(value_end) != Some(&quote) {
            return None;
        }
        let value = &bytes[value_start..value_end];
        memchr_iter(b'&', value).try_for_each(|at| reference::len(&value[at..]).map(drop))?;
        let value = Place::new(value_start, value_end)?;
        match name.declares(frame) {
            Some(prefix) => scope.declare(prefix.of(frame), value.of(frame), value)?,
            None if self.attributes.len() < ATTRIBUTES_MAX => self.attributes.push(Written { name, value }),
            None => return None,
        }
        Some(value_end + 1)
    }

    /// Namespaces in XML 1.0, 6.3: no two attributes of one name, nor of one local name in one namespace.
    fn tell_apart(&self, frame: &str, scope: &Scope<'_>) -> Option<()> {
        for (nth, one) in self.attributes.iter().enumerate() {
            // An undeclared prefix ends the check, also where there is nothing to compare with.
            let namespace = one.namespace(frame, scope)?;
            for other in &self.attributes[..nth] {
                if other.name.local().of(frame) == one.name.local().of(frame)
                    && other.namespace(frame, scope)? == namespace
                {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Whether the prefixes of all attributes mean the same in the canonical context.
    pub(super) fn attributes_stand_alone(&self, frame: &str, scope: &Scope<'_>) -> bool {
        self.attributes.iter().filter(|attribute| attribute.name.has_prefix()).all(|attribute| {
            let prefix = attribute.name.prefix(frame);
            scope.meaning(prefix).is_some_and(|meaning| meaning.stands_alone(prefix))
        })
    }

    /// The attributes, if each means what is written: no reference, no white space that would be normalised.
    pub(super) fn attributes(&self, frame: &str, scope: &Scope<'_>) -> Option<Vec<Attribute<Piece>>> {
        let mut attributes = Vec::with_capacity(self.attributes.len());
        for written in &self.attributes {
            // To the last byte, since without a way out it is done many bytes at a time.
            let is_odd = |odd, byte| odd | (byte < b' ') | (byte == b'&');
            if written.value.of(frame).bytes().fold(false, is_odd) {
                return None;
            }
            let namespace = match written.name.has_prefix() {
                true => scope.meaning(written.name.prefix(frame))?.piece(),
                false => Piece::Known(""),
            };
            let (name, value) = (written.name.local().piece(), written.value.piece());
            attributes.push(Attribute { namespace, name, value });
        }
        Some(attributes)
    }
}

impl Written {
    /// The namespace, empty for an attribute without prefix; `None` where the prefix is not declared.
    fn namespace<'a>(&self, frame: &str, scope: &Scope<'a>) -> Option<&'a str> {
        if self.name.has_prefix() {
            Some(scope.meaning(self.name.prefix(frame))?.namespace())
        } else {
            Some("")
        }
    }
}
