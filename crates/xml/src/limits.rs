//! The limits that hold for what a peer sends, each enforced while the bytes arrive.

/// What one frame of a stream may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the XML declaration and stream header together.
    pub header_bytes_max: u32,
    /// Bytes of one top-level element.
    pub element_bytes_max: u32,
    /// Elements inside one top-level element, itself included.
    pub elements_max: u32,
    /// Depth of nesting, the top-level element being 1.
    pub depth_max: u16,
    /// Attributes of one element, `xmlns` declarations not counted.
    pub attributes_max: u16,
    /// `xmlns` declarations of one element.
    pub namespaces_max: u16,
}

impl Limits {
    /// What a peer may send before it has authenticated.
    pub const UNAUTHENTICATED: Limits = Limits {
        header_bytes_max: 4 * 1024,
        element_bytes_max: 8 * 1024,
        elements_max: 32,
        depth_max: 64,
        attributes_max: 64,
        namespaces_max: 32,
    };

    /// What a peer may send once it has authenticated (announced by XEP-0478).
    pub const AUTHENTICATED: Limits =
        Limits { element_bytes_max: 256 * 1024, elements_max: 16 * 1024, ..Limits::UNAUTHENTICATED };

    /// Whether one of the limits that the checker has built in is stricter here: then only the framer enforces it.
    pub(crate) fn is_below_the_checkers(&self) -> bool {
        let checkers = Limits::AUTHENTICATED;
        self.depth_max < checkers.depth_max
            || self.attributes_max < checkers.attributes_max
            || self.namespaces_max < checkers.namespaces_max
    }
}
