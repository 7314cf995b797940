//! Avatars of both kinds are one (XEP-0398): what is published by XEP-0084 becomes the photo of the vCard, and the photo
//! of the vCard is published.
//!
//! Only what everybody may see becomes part of a vCard, which everybody may see (XEP-0398, 7). A conversion that is not
//! possible is left out, and whoever published is not told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rjabberd_storage::{PepItem, PepPick, StoreError};
use rjabberd_xml::Element;
use rjabberd_xmpp::{BareJid, StanzaError, ns};
use sha1::{Digest, Sha1};

use super::config::{AccessModel, NodeConfig};
use super::publish::{Basis, Plan};
use crate::Im;
use crate::services::{read_stored, store_error, written};
use crate::vcard::{Avatar, Photo, decoded};

/// The type that XEP-0084 demands of an image.
const TYPE: &str = "image/png";

pub(crate) fn hex(avatar: &Avatar) -> String {
    avatar.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Im {
    /// The account published what its avatar is (XEP-0398, 3.1).
    pub(crate) async fn avatar_to_vcard(&'static self, account: &BareJid, metadata: &PepItem) {
        if let Err(error) = self.try_avatar_to_vcard(account, metadata).await {
            log::debug!(target: "im:pep", "The avatar of {account} does not become a photo: {error:?}");
        }
    }

    async fn try_avatar_to_vcard(
        &'static self,
        account: &BareJid,
        metadata: &PepItem,
    ) -> Result<(), StanzaError> {
        let metadata = read_stored(metadata.payload.clone())?;
        if !metadata.is("metadata", ns::AVATAR_METADATA) {
            return Ok(());
        }
        if metadata.child("info", ns::AVATAR_METADATA).is_none() {
            // XEP-0084, 4.2.2: there is none any more.
            return self.replace_photo(account, None).await;
        }
        let Some((id, image_type)) = image_here(&metadata) else { return Ok(()) };
        let pick = PepPick::Ids(vec![id.clone()]);
        let found = self.store.load_pep_items(account, ns::AVATAR_DATA, pick, usize::MAX).await;
        let Some(found) = found.map_err(store_error)? else { return Ok(()) };
        if NodeConfig::read(&found.node)?.access != AccessModel::Open {
            return Ok(());
        }
        let Some(item) = found.items.into_iter().next() else { return Ok(()) };
        let data = read_stored(item.payload)?;
        let image = if data.is("data", ns::AVATAR_DATA) { decoded(&data.text()).ok() } else { None };
        let Some(image) = image else { return Ok(()) };
        let hash: Avatar = Sha1::digest(&image).into();
        if hex(&hash) != id {
            return Ok(());
        }
        self.replace_photo(account, Some(Photo { hash, image_type, image })).await
    }

    async fn replace_photo(
        &'static self,
        account: &BareJid,
        photo: Option<Photo>,
    ) -> Result<(), StanzaError> {
        let stored = self.store.load_vcard(account).await.map_err(store_error)?;
        if stored.is_none() && photo.is_none() {
            return Ok(());
        }
        let vcard = match stored {
            Some(text) => read_stored(text)?,
            None => Element::new("vCard", ns::VCARD),
        };
        let vcard = with_photo(&vcard, photo.as_ref());
        self.save_vcard(account, &vcard, photo.map(|photo| photo.hash))?.await.map_err(store_error)
    }

    /// The account has another photo in its vCard (XEP-0398, 3.2), or none.
    pub(crate) async fn photo_to_avatar(&'static self, account: &BareJid, photo: Option<Photo>) {
        match self.try_photo_to_avatar(account, photo).await {
            Ok(()) => {}
            // Another session publishes one just now.
            Err(StoreError::Conflict) => {}
            Err(error) => log::debug!(target: "im:pep", "The photo of {account} is not published: {error}"),
        }
    }

    async fn try_photo_to_avatar(
        &'static self,
        account: &BareJid,
        photo: Option<Photo>,
    ) -> Result<(), StoreError> {
        let newest = PepPick::Before(None, 1);
        let found = self.store.load_pep_items(account, ns::AVATAR_METADATA, newest, 0).await?;
        let published = found.and_then(|mut found| found.items.pop());
        let shown = published.and_then(|item| read_stored(item.payload).ok());
        let shown = shown.as_ref().and_then(image_here).map(|(id, _)| id);
        if shown == photo.as_ref().map(|photo| hex(&photo.hash)) {
            return Ok(());
        }
        let profile = self.store.load_profile(account).await?.unwrap_or_default();
        let mut plan = Plan::new();
        let mut metadata = Element::new("metadata", ns::AVATAR_METADATA);
        let mut id = "none".to_owned();
        if let Some(Photo { hash, image_type, image }) = photo {
            id = hex(&hash);
            let info = Element::new("info", ns::AVATAR_METADATA)
                .with_attribute("id", &id)
                .with_attribute("type", image_type)
                .with_attribute("bytes", image.len().to_string());
            metadata.push(info);
            let data = Element::new("data", ns::AVATAR_DATA).with_text(STANDARD.encode(image));
            let item = self.item_of(account, &id, &data);
            if item.payload.len() > self.limits.pep.item_bytes_max {
                return Err(StoreError::Full);
            }
            let basis = self.avatar_node(account, ns::AVATAR_DATA).await?;
            self.plan_publication(&mut plan, account, profile.clone(), basis, item);
        }
        let basis = self.avatar_node(account, ns::AVATAR_METADATA).await?;
        let item = self.item_of(account, &id, &metadata);
        self.plan_publication(&mut plan, account, profile, basis, item);
        self.carry_out_plan(account, plan).await
    }

    /// A node of the avatar; a new one is as open as the vCard is.
    async fn avatar_node(&'static self, account: &BareJid, name: &str) -> Result<Basis, StoreError> {
        let open = NodeConfig { access: AccessModel::Open, ..NodeConfig::default_of(name) };
        let found = self.store.load_pep_node(account, name).await?;
        Ok(match found {
            Some(node) => {
                let config = NodeConfig::read(&node).unwrap_or(open);
                Basis::there(node, config)
            }
            None => Basis::new(name, open),
        })
    }

    /// An item that the server itself publishes for the account.
    pub(crate) fn item_of(&self, account: &BareJid, id: &str, payload: &Element) -> PepItem {
        let since = (self.clock)().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        PepItem {
            id: id.to_owned(),
            publisher: account.clone(),
            published_unix_s: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            payload: written(payload),
        }
    }
}

/// The id and the type of the image that is not somewhere else (XEP-0398, 3.1).
fn image_here(metadata: &Element) -> Option<(String, String)> {
    let is_here =
        |child: &&Element| child.is("info", ns::AVATAR_METADATA) && child.attribute("url").is_none();
    let info = metadata.children().find(is_here)?;
    Some((info.attribute("id")?.to_ascii_lowercase(), info.attribute("type").unwrap_or(TYPE).to_owned()))
}

/// The vCard with this photo in the place of the one that it has.
fn with_photo(vcard: &Element, photo: Option<&Photo>) -> Element {
    let mut new = Element::new(vcard.name(), vcard.namespace());
    for attribute in vcard.attributes() {
        new = new.with_attribute_of(&attribute.name, &attribute.namespace, &attribute.value);
    }
    for node in vcard.nodes() {
        match node {
            rjabberd_xml::Node::Element(element) if element.is("PHOTO", ns::VCARD) => {}
            node => new.push_node(node.clone()),
        }
    }
    if let Some(Photo { image_type, image, .. }) = photo {
        let text = |name: &str, text: String| Element::new(name, ns::VCARD).with_text(text);
        let photo = Element::new("PHOTO", ns::VCARD)
            .with_child(text("TYPE", image_type.clone()))
            .with_child(text("BINVAL", STANDARD.encode(image)));
        new.push(photo);
    }
    new
}
