//! vCards, their owners and their photos.

use super::{Avatar, with_avatar, without_avatar};
use crate::Limits;
use crate::stage::{JULIET, Stage, inner, stanza, told};

const GET: &str = "<vCard xmlns='vcard-temp'/>";
const SET: &str = "<vCard xmlns='vcard-temp' version='3.0'><FN>Romeo</FN></vCard>";
const KEPT: &str = "<vCard xmlns=\"vcard-temp\" version=\"3.0\"><FN>Romeo</FN></vCard>";
const ROMEOS: Option<&str> = Some("romeo@example.net");

/// SHA-1 of "abc".
const ABC: Avatar = [
    0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c,
    0xd0, 0xd8, 0x9d,
];

fn photo(base64: &str) -> String {
    format!(
        "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{base64}</BINVAL></PHOTO></vCard>"
    )
}

fn kept_avatar(stage: &Stage) -> Option<Avatar> {
    stage.store.kept.lock().vcards["romeo@example.net"].1
}

#[test]
fn a_vcard_is_its_owner_s_to_set_and_everybody_s_to_see() {
    let stage = Stage::new();
    assert_eq!(stage.asks("get", None, GET), "cancel item-not-found");
    for to in [None, ROMEOS] {
        assert_eq!(stage.asks("set", to, SET), "");
        assert_eq!(stage.asks("get", to, GET), KEPT);
    }
    // Romeo has no session at all.
    assert_eq!(told(&stage.answer(JULIET, "get", ROMEOS, GET)), KEPT);
}

#[test]
fn no_vcard_and_no_account_are_not_told_apart() {
    let stage = Stage::new();
    stage.has_contact("juliet@example.net", "romeo@example.net", true);
    for to in ["juliet@example.net", "nobody@example.net"] {
        assert_eq!(stage.asks("get", Some(to), GET), "cancel service-unavailable", "{to}");
    }
}

#[test]
fn nobody_sets_another_s_vcard() {
    let stage = Stage::new();
    for to in ["juliet@example.net", "nobody@example.net", "example.net"] {
        assert_eq!(stage.asks("set", Some(to), SET), "auth forbidden", "{to}");
    }
    assert!(stage.store.kept.lock().vcards.is_empty());
}

#[test]
fn the_server_has_a_vcard_too() {
    let server = "<vCard xmlns=\"vcard-temp\"><FN>rjabberd</FN></vCard>";
    assert_eq!(Stage::new().asks("get", Some("example.net"), GET), server);
}

#[test]
fn a_vcard_that_is_too_long_is_against_the_policy() {
    let limits = Limits { vcard_bytes_max: KEPT.len(), ..Limits::default() };
    let stage = Stage::with(limits, &Default::default());
    assert_eq!(stage.asks("set", None, SET), "");
    assert_eq!(stage.asks("set", None, &SET.replace("Romeo", "Romeo!")), "modify policy-violation");
    assert_eq!(stage.asks("get", None, GET), KEPT);
}

#[test]
fn the_hash_is_that_of_the_decoded_photo() {
    let stage = Stage::new();
    for base64 in ["YWJj", " YW\n Jj\t", "YWJ&#13;j"] {
        assert_eq!(stage.asks("set", None, &photo(base64)), "", "{base64}");
        assert_eq!(kept_avatar(&stage), Some(ABC), "{base64}");
    }
    // One byte, with and without padding.
    for base64 in ["YQ==", "YQ"] {
        assert_eq!(stage.asks("set", None, &photo(base64)), "", "{base64}");
        assert_eq!(kept_avatar(&stage).map(|avatar| avatar[..2].to_vec()), Some(vec![0x86, 0xf7]));
    }
}

#[test]
fn without_photo_there_is_no_hash() {
    let stage = Stage::new();
    for vcard in
        [SET.to_owned(), photo(""), photo(" \n"), "<vCard xmlns='vcard-temp'><PHOTO/></vCard>".to_owned()]
    {
        assert_eq!(stage.asks("set", None, &photo("YWJj")), "");
        assert_eq!(stage.asks("set", None, &vcard), "", "{vcard}");
        assert_eq!(kept_avatar(&stage), None, "{vcard}");
    }
}

#[test]
fn a_photo_that_is_not_base64_is_refused() {
    let stage = Stage::new();
    for base64 in ["YWJj!", "Y", "ä"] {
        assert_eq!(stage.asks("set", None, &photo(base64)), "modify bad-request", "{base64}");
    }
    assert!(stage.store.kept.lock().vcards.is_empty());
}

#[test]
fn a_store_that_is_away_is_told() {
    let stage = Stage::new();
    stage.breaks(true);
    assert_eq!(stage.asks("set", None, SET), "wait resource-constraint");
    assert_eq!(stage.asks("get", Some("juliet@example.net"), GET), "wait resource-constraint");
}

#[track_caller]
fn check(presence: &str, with: Option<&str>, without: Option<&str>) {
    let presence = stanza(presence);
    assert_eq!(with_avatar(&presence, Some(&ABC)).map(|stanza| inner(&stanza)).as_deref(), with);
    assert_eq!(without_avatar(&presence).map(|stanza| inner(&stanza)).as_deref(), without);
    assert_eq!(with_avatar(&presence, None), None);
}

const HASH: &str =
    "<x xmlns=\"vcard-temp:x:update\"><photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo></x>";
const NONE: &str = "<x xmlns=\"vcard-temp:x:update\"><photo/></x>";

#[test]
fn a_presence_that_says_nothing_of_photos_is_completed() {
    check("<presence/>", Some(HASH), Some(NONE));
    let status = "<status>here</status>";
    check(
        &format!("<presence>{status}</presence>"),
        Some(&format!("{status}{HASH}")),
        Some(&format!("{status}{NONE}")),
    );
}

#[test]
fn a_client_that_does_not_know_yet_is_completed() {
    check("<presence><x xmlns='vcard-temp:x:update'/></presence>", Some(HASH), Some(NONE));
    let other = "<presence><x xmlns='vcard-temp:x:update'><other/></x></presence>";
    check(other, Some(HASH), Some(NONE));
}

#[test]
fn a_client_that_knows_is_believed() {
    for photo in ["<photo/>", "<photo></photo>", "<photo>01b87fcd030b72895ff8e88db57ec525450f000d</photo>"] {
        let presence = format!("<presence><x xmlns='vcard-temp:x:update'>{photo}</x></presence>");
        check(&presence, None, None);
    }
}

#[test]
fn only_available_presence_has_a_photo() {
    for kind in ["unavailable", "subscribe", "probe", "error"] {
        check(&format!("<presence type='{kind}'/>"), None, None);
    }
    check("<message/>", None, None);
}
