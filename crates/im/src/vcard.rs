//! vCards (XEP-0054), kept as their owner wrote them and given to everybody, whether he is there or not; and the hash of
//! the photo in them, which goes with his presence (XEP-0153, XEP-0398).
//!
//! What a vCard says is not checked, but for the photo: its hash must be that of an image.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rjabberd_storage::Answer as Saved;
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, Condition, PresenceType, Stanza, StanzaError, StanzaKind, ns};
use sha1::{Digest, Sha1};

use crate::Im;
use crate::services::{Feature, Question, Reply, Target, read_stored, store_error, written};

/// SHA-1 of an image.
pub type Avatar = [u8; 20];

pub(crate) struct VCard {
    im: &'static Im,
}

impl VCard {
    pub(crate) fn new(im: &'static Im) -> VCard {
        VCard { im }
    }

    /// XEP-0054, 3.1 and 3.3: without a vCard the owner is told that there is none, and others what they are told of an
    /// account that does not exist.
    fn get(&self, account: &BareJid, target: Target) -> Reply {
        let missing = match target {
            Target::OtherAccount => Condition::ServiceUnavailable,
            Target::OwnAccount | Target::Server => Condition::ItemNotFound,
        };
        let stored = self.im.store.load_vcard(account);
        Reply::later(async move {
            let text = stored.await.map_err(store_error)?.ok_or_else(|| StanzaError::new(missing))?;
            read_stored(text).map(Some)
        })
    }

    /// XEP-0054, 3.2.
    fn set(&self, account: BareJid, vcard: &Element) -> Reply {
        let Ok(photo) = photo(vcard) else {
            return Reply::refusal(Condition::BadRequest, "the photo is not base64");
        };
        let im = self.im;
        let saved = match im.save_vcard(&account, vcard, photo.as_ref().map(|photo| photo.hash)) {
            Ok(saved) => saved,
            Err(error) => return error.into(),
        };
        Reply::later(async move {
            saved.await.map_err(store_error)?;
            im.photo_to_avatar(&account, photo).await;
            Ok(None)
        })
    }
}

impl Im {
    /// Keeps a vCard with this photo in it, and shows the photo.
    pub(crate) fn save_vcard(
        &'static self,
        account: &BareJid,
        vcard: &Element,
        avatar: Option<Avatar>,
    ) -> Result<Saved<()>, StanzaError> {
        let text = written(vcard);
        if text.len() > self.limits.vcard_bytes_max {
            return Err(StanzaError::new(Condition::PolicyViolation).with_text("the vCard is too long"));
        }
        let owner = account.clone();
        let follow = move |saved: &Result<(), _>| {
            if saved.is_ok() {
                self.avatar_changed(&owner, avatar);
            }
        };
        Ok(self.store.save_vcard(account, text, avatar, Box::new(follow)))
    }
}

impl Feature for VCard {
    fn namespace(&self) -> &'static str {
        ns::VCARD
    }

    fn serves(&self, _target: Target) -> bool {
        true
    }

    fn answer(&self, question: &Question<'_>) -> Reply {
        if question.payload.name() != "vCard" {
            return Reply::error(Condition::FeatureNotImplemented);
        }
        match (question.account(), question.target, question.set) {
            (Err(error), ..) => error.into(),
            (Ok(account), Target::OwnAccount, true) => self.set(account, question.payload),
            // XEP-0054, 3.2: another's vCard.
            (Ok(_), _, true) => Reply::error(Condition::Forbidden),
            // XEP-0054, 3.3: a server may have one of its own.
            (Ok(_), Target::Server, false) => {
                let name = Element::new("FN", ns::VCARD).with_text("rjabberd");
                Reply::result(Element::new("vCard", ns::VCARD).with_child(name))
            }
            (Ok(account), target, false) => self.get(&account, target),
        }
    }
}

/// An image, as a vCard has it.
pub(crate) struct Photo {
    pub(crate) hash: Avatar,
    /// As the vCard says.
    pub(crate) image_type: String,
    pub(crate) image: Vec<u8>,
}

/// The photo in a vCard; `None` where there is none, or an empty one (XEP-0153, 4.4).
fn photo(vcard: &Element) -> Result<Option<Photo>, base64::DecodeError> {
    let photo = vcard.child("PHOTO", ns::VCARD);
    let text = |name: &str| {
        photo.and_then(|photo| photo.child(name, ns::VCARD)).map(Element::text).unwrap_or_default()
    };
    let image = decoded(&text("BINVAL"))?;
    if image.is_empty() {
        return Ok(None);
    }
    let image_type = Some(text("TYPE")).filter(|text| !text.is_empty()).unwrap_or("image/png".to_owned());
    Ok(Some(Photo { hash: Sha1::digest(&image).into(), image_type, image }))
}

/// What a text of base64 stands for.
pub(crate) fn decoded(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    // XEP-0153, 4.6: white space is ignored. Some clients leave the padding out.
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    let text: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    BASE64.decode(text)
}

/// An available presence as others shall see it where its account has this avatar; `None` where the client's own words
/// stand, or there is nothing to add.
///
/// A client that says which photo it has, or that it has none, is believed. One that does not know yet (an empty
/// `<x/>`, XEP-0153, 4.1) or says nothing is completed, as XEP-0398, 4 demands.
pub fn with_avatar(presence: &Stanza, avatar: Option<&Avatar>) -> Option<Stanza> {
    let hash: String = avatar?.iter().map(|byte| format!("{byte:02x}")).collect();
    completed(presence, &hash)
}

/// The same for an account whose avatar is gone (XEP-0153, 4.1: the photo is empty). It is to be said once: presence
/// without the element leaves others with what they know.
pub fn without_avatar(presence: &Stanza) -> Option<Stanza> {
    completed(presence, "")
}

fn completed(presence: &Stanza, photo: &str) -> Option<Stanza> {
    if presence.kind != StanzaKind::Presence(PresenceType::Available) {
        return None;
    }
    if let Some(own) = presence.child("x", ns::VCARD_UPDATE)
        && presence.child_element(own).is_ok_and(|own| own.child("photo", ns::VCARD_UPDATE).is_some())
    {
        return None;
    }
    let photo = Element::new("photo", ns::VCARD_UPDATE).with_text(photo);
    let update = Element::new("x", ns::VCARD_UPDATE).with_child(photo);
    Some(presence.without_children(|child| child.is("x", ns::VCARD_UPDATE)).with_child(&update))
}

#[cfg(test)]
mod tests;
