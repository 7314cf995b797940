//! Checks one whole element that is only passed on, and takes it apart without copying: what [`read_element`] gives, at
//! a small part of its cost.
//!
//! It accepts a part of what the reader accepts, and refuses nothing: where it is not certain, and wherever something
//! would have to be rewritten or unescaped, the reader (xml-rs) is asked, so that every error and every odd case is the
//! reader's alone. It builds no tree. Invariant, which `fuzz-targets` holds against xml-rs and expat: what is accepted
//! here is accepted by both, with the same names, values and ranges.

use bytes::Bytes;
use memchr::{memchr, memmem};
use smallvec::SmallVec;

use crate::child::Child;
use crate::context::Context;
use crate::fragment::{Fragment, Tag};
use crate::reader::read_element;
use crate::scan::{plain_len, space_len};
use crate::{Limits, XmlError};
use name::Name;
use scope::Scope;
use start_tag::StartTag;

mod name;
mod reference;
mod scope;
mod start_tag;
#[cfg(test)]
mod tests;

/// As deep as framers let through; deeper elements are the reader's.
const DEPTH_MAX: usize = Limits::AUTHENTICATED.depth_max as usize;

/// Checks a frame of kind [`crate::FrameKind::Element`] that is only passed on; gives what [`read_element`] gives.
pub fn check_element(context: &Context, frame: Bytes) -> Result<Fragment, XmlError> {
    match check(context, &frame) {
        Some(fragment) => Ok(fragment),
        None => read_element(context, frame),
    }
}

/// The checker alone: `None` where it is not certain and the reader must be asked.
pub fn check(context: &Context, frame: &Bytes) -> Option<Fragment> {
    let text = std::str::from_utf8(frame).ok()?;
    let is_ascii = text.is_ascii();
    if !is_ascii && has_noncharacter(text) {
        return None;
    }
    Checker {
        frame,
        text,
        at: 0,
        has_bracket: memchr(b']', frame).is_some(),
        scope: Scope::new(context),
        start_tag: StartTag::new(is_ascii),
        open: SmallVec::new(),
        inner_start: 0,
        children: Vec::new(),
    }
    .element()
}

/// U+FFFE and U+FFFF are no characters of XML 1.0, 2.2; beyond ASCII they are the only ones, surrogates aside.
fn has_noncharacter(text: &str) -> bool {
    ["\u{FFFE}", "\u{FFFF}"].iter().any(|none| memmem::find(text.as_bytes(), none.as_bytes()).is_some())
}

/// One element, from its first byte to its last; every step answers `None` where the reader must be asked.
struct Checker<'a> {
    frame: &'a Bytes,
    /// The same.
    text: &'a str,
    at: usize,
    /// Whether `]]>` may stand somewhere.
    has_bracket: bool,
    scope: Scope<'a>,
    /// The start tag that was read last.
    start_tag: StartTag,
    open: SmallVec<[Open; 16]>,
    inner_start: usize,
    children: Vec<Child>,
}

/// An element whose end tag is still to come.
struct Open {
    start: usize,
    name: Name,
}

impl Checker<'_> {
    fn element(&mut self) -> Option<Fragment> {
        let is_empty = self.open_tag()?;
        let tag = self.root()?;
        self.inner_start = self.at;
        let mut inner_end = self.at;
        if is_empty {
            self.open.clear();
        }
        while !self.open.is_empty() {
            self.text()?;
            inner_end = self.at;
            match self.frame.get(self.at + 1)? {
                b'/' => self.end_tag()?,
                b'!' => self.cdata()?,
                _ => self.child_tag()?,
            }
        }
        if self.at != self.frame.len() {
            return None;
        }
        let inner = self.frame.slice(self.inner_start..inner_end);
        Some(Fragment::new(self.frame.clone(), tag, inner, std::mem::take(&mut self.children)))
    }

    /// Reads a start tag; says whether it is an empty element's.
    fn open_tag(&mut self) -> Option<bool> {
        if self.open.len() >= DEPTH_MAX {
            return None;
        }
        self.scope.open();
        let start = self.at;
        let (end, is_empty) = self.start_tag.read(self.text, start, &mut self.scope)?;
        self.scope.opened()?;
        self.at = end;
        self.open.push(Open { start, name: self.start_tag.name });
        Some(is_empty)
    }

    /// What the top-level element's start tag says.
    fn root(&self) -> Option<Tag> {
        let name = self.start_tag.name;
        let namespace = self.scope.of_element(name.prefix(self.text))?.piece();
        let attributes = self.start_tag.attributes(self.text, &self.scope)?;
        Some(Tag { name: name.local().piece(), namespace, attributes })
    }

    /// A start tag inside the top-level element. Its bytes may be passed on as they are only if all its names mean the
    /// same in the canonical context.
    fn child_tag(&mut self) -> Option<()> {
        let is_empty = self.open_tag()?;
        let name = self.start_tag.name;
        let prefix = name.prefix(self.text);
        let meaning = self.scope.of_element(prefix)?;
        if !meaning.stands_alone(prefix) || !self.start_tag.attributes_stand_alone(self.text, &self.scope) {
            return None;
        }
        if self.open.len() == 2 {
            let (name, namespace) = (name.local().piece(), meaning.piece());
            // Where it stands is known when it ends.
            self.children.push(Child::standing_in(self.frame.clone(), name, namespace, 0..0));
        }
        if is_empty { self.close() } else { Some(()) }
    }

    /// The innermost element ends here.
    fn close(&mut self) -> Option<()> {
        let closed = self.open.pop()?;
        self.scope.close();
        if self.open.len() == 1 {
            let range = closed.start - self.inner_start..self.at - self.inner_start;
            self.children.last_mut()?.stand_at(range);
        }
        Some(())
    }

    /// Text up to the next `<` (XML 1.0, 2.4): legal characters, no `]]>`, references of [`reference::len`].
    fn text(&mut self) -> Option<()> {
        let start = self.at;
        loop {
            self.at += plain_len(&self.frame[self.at..], b'<', b'&');
            match self.frame.get(self.at)? {
                b'<' => break,
                b'&' => self.at += reference::len(&self.frame[self.at..])?,
                _ => return None,
            }
        }
        let ends_cdata = self.has_bracket && memmem::find(&self.frame[start..self.at], b"]]>").is_some();
        (!ends_cdata).then_some(())
    }

    /// An end tag; it repeats the start tag's name as that was written.
    fn end_tag(&mut self) -> Option<()> {
        let name = self.open.last()?.name;
        let rest =
            self.frame.get(self.at + "</".len()..)?.strip_prefix(name.written(self.text).as_bytes())?;
        let spaces = space_len(rest);
        if rest.get(spaces) != Some(&b'>') {
            return None;
        }
        self.at = self.frame.len() - rest.len() + spaces + 1;
        self.close()
    }

    /// A CDATA section (XML 1.0, 2.7); any other `<!` is the reader's to refuse.
    fn cdata(&mut self) -> Option<()> {
        let rest = self.frame[self.at..].strip_prefix(b"<![CDATA[")?;
        let length = memmem::find(rest, b"]]>")?;
        // No byte but control characters stops this search.
        if plain_len(&rest[..length], 0, 0) != length {
            return None;
        }
        self.at = self.frame.len() - rest.len() + length + "]]>".len();
        Some(())
    }
}
