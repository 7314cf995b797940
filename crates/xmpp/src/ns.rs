//! Namespaces, by the name of what they hold.

/// RFC 6120, streams.
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// RFC 6120, 4.9.3: stream error conditions.
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// RFC 6120, 8.3.3: stanza error conditions.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// RFC 6120, 5: STARTTLS.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// RFC 6120, 6: SASL.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// XEP-0388: the extensible profile of SASL.
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// XEP-0386: resource binding inside SASL.
pub const BIND2: &str = "urn:xmpp:bind:0";
/// XEP-0440: types of channel binding.
pub const CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// XEP-0484: tokens.
pub const FAST: &str = "urn:xmpp:fast:0";
/// XEP-0480: upgrade tasks.
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// XEP-0480, 3: upgrade tasks of SCRAM.
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// XEP-0509: authentication together with the stream header.
pub const CONFIG_VERSION: &str = "urn:xmpp:iap:0";
/// RFC 6120, 7: resource binding.
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// RFC 3921, 3: session establishment, a no-op today.
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// RFC 6120, 4.8.2: the content namespace of clients.
pub const CLIENT: &str = "jabber:client";
/// The namespace of the prefix `xml`.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Application-specific error conditions; here `stanza-too-big`.
pub const ERRORS: &str = "urn:xmpp:errors";
/// XEP-0030.
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// XEP-0030.
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// XEP-0077: `jabber:iq:register`.
pub const REGISTER: &str = "jabber:iq:register";
/// XEP-0077, 8: the stream feature.
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// XEP-0092.
pub const VERSION: &str = "jabber:iq:version";
/// XEP-0115.
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// XEP-0199.
pub const PING: &str = "urn:xmpp:ping";
/// XEP-0202.
pub const TIME: &str = "urn:xmpp:time";
/// XEP-0478.
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// XEP-0004.
pub const DATA_FORMS: &str = "jabber:x:data";
/// RFC 6121, 2: rosters.
pub const ROSTER: &str = "jabber:iq:roster";
/// RFC 6121, 2.6.1: the stream feature of roster versions.
pub const ROSTER_VERSIONS: &str = "urn:xmpp:features:rosterver";
/// RFC 6121, 3.4: the stream feature of pre-approval.
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// XEP-0012.
pub const LAST_ACTIVITY: &str = "jabber:iq:last";
/// XEP-0049.
pub const PRIVATE: &str = "jabber:iq:private";
/// XEP-0054.
pub const VCARD: &str = "vcard-temp";
/// XEP-0153.
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// XEP-0085.
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0160, 4: the server keeps messages for who is away.
pub const OFFLINE: &str = "msgoffline";
/// XEP-0191.
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// XEP-0191, 3.3: what the blocker himself is told.
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// XEP-0203.
pub const DELAY: &str = "urn:xmpp:delay";
/// XEP-0334.
pub const HINTS: &str = "urn:xmpp:hints";
/// XEP-0377.
pub const REPORTING: &str = "urn:xmpp:reporting:1";
/// XEP-0060.
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// XEP-0060, 8: what a node's owner asks for.
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// XEP-0060: what subscribers are told.
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// XEP-0060: its error conditions.
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// XEP-0060, 16.4.4: the form of a node's config.
pub const PUBSUB_NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// XEP-0060, 7.1.5: the form of what must be so.
pub const PUBSUB_PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// XEP-0060, 16.4.3: the form of what a node says of itself.
pub const PUBSUB_META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
/// XEP-0084: the node of the image.
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// XEP-0084: the node of what is said of it.
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
/// XEP-0398.
pub const AVATAR_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
/// XEP-0402.
pub const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
/// XEP-0402, 6: bookmarks in private XML are the same.
pub const BOOKMARKS_COMPAT: &str = "urn:xmpp:bookmarks:1#compat";
/// XEP-0402, 6: bookmarks of XEP-0048 are the same.
pub const BOOKMARKS_COMPAT_PEP: &str = "urn:xmpp:bookmarks:1#compat-pep";
/// XEP-0048.
pub const OLD_BOOKMARKS: &str = "storage:bookmarks";
/// XEP-0490.
pub const DISPLAYED: &str = "urn:xmpp:mds:displayed:0";
/// XEP-0198, version 1.3 and later.
pub const SM3: &str = "urn:xmpp:sm:3";
/// XEP-0198, before version 1.3.
pub const SM2: &str = "urn:xmpp:sm:2";
/// XEP-0352: client state indication.
pub const CLIENT_STATE: &str = "urn:xmpp:csi:0";
/// XEP-0059.
pub const RESULT_SETS: &str = "http://jabber.org/protocol/rsm";
/// XEP-0122.
pub const DATA_FORMS_VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// XEP-0280.
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// XEP-0297.
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// XEP-0313.
pub const ARCHIVE: &str = "urn:xmpp:mam:2";
/// XEP-0313, 6: what a server of today can.
pub const ARCHIVE_EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// XEP-0359.
pub const STANZA_IDS: &str = "urn:xmpp:sid:0";
/// XEP-0357.
pub const PUSH: &str = "urn:xmpp:push:0";
/// XEP-0357, 7: what a notification says, as a form.
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// XEP-0353.
pub const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
