//! The namespaces that are in effect for the top-level elements of a stream.
//!
//! Holds nothing of a stream but these; two streams that declared the same are equal.

use std::sync::{Arc, LazyLock};

use crate::ns;

/// The namespaces that a stream header declares: cheap to clone, compared by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Prefix and namespace, sorted by prefix; the default namespace has the empty prefix and is left out where none is.
    declarations: Arc<[(Box<str>, Box<str>)]>,
}

static CANONICAL: LazyLock<Context> =
    LazyLock::new(|| Context { declarations: sorted([("", ns::CLIENT), ("stream", ns::STREAM)]) });

fn sorted<'a>(declarations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Arc<[(Box<str>, Box<str>)]> {
    let mut declarations: Vec<(Box<str>, Box<str>)> =
        declarations.into_iter().map(|(prefix, namespace)| (prefix.into(), namespace.into())).collect();
    declarations.sort_unstable();
    declarations.into()
}

impl Context {
    /// The context that nearly every client declares: default `jabber:client`, prefix `stream`.
    pub fn canonical() -> Context {
        CANONICAL.clone()
    }

    /// A context of these prefixes (the empty one for the default namespace) and namespaces.
    pub(crate) fn new<'a>(declarations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Context {
        let declarations = sorted(declarations);
        // Sharing the canonical one makes the usual comparison one of pointers.
        if declarations == CANONICAL.declarations { Context::canonical() } else { Context { declarations } }
    }

    /// Whether this is the context that nearly every client declares.
    pub fn is_canonical(&self) -> bool {
        *self == *CANONICAL
    }

    /// The default namespace, empty where none is declared.
    pub fn default_namespace(&self) -> &str {
        self.namespace("").unwrap_or_default()
    }

    /// The namespace of a prefix that the header declares.
    pub fn namespace(&self, prefix: &str) -> Option<&str> {
        self.declarations().find(|(declared, _)| *declared == prefix).map(|(_, namespace)| namespace)
    }

    /// Prefixes (the empty one for the default namespace) and their namespaces.
    pub(crate) fn declarations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.declarations.iter().map(|(prefix, namespace)| (&**prefix, &**namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_that_declare_the_same_are_equal() {
        let one = Context::new([("stream", ns::STREAM), ("", ns::CLIENT)]);
        assert!(one.is_canonical());
        assert_eq!(one.default_namespace(), ns::CLIENT);
        assert_eq!(one.namespace("stream"), Some(ns::STREAM));
        let other = Context::new([("stream", ns::STREAM)]);
        assert_ne!(one, other);
        assert_eq!(other.default_namespace(), "");
        assert_eq!(other.namespace("db"), None);
    }
}
