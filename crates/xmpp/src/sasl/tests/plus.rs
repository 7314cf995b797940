//! Channel binding and the attributes that guard it.

use super::scram::{Client, RIGHT};
use super::*;

/// What a stream with TLS 1.3 offers.
pub(super) fn offered() -> Offered {
    let mechanisms = ALL.into_iter().flat_map(|hash| [Mechanism::ScramPlus(hash), Mechanism::Scram(hash)]);
    Offered::new(mechanisms.collect(), vec![BindingType::EndPoint, BindingType::Exporter])
}

/// What SCRAM-SHA-1-PLUS makes of a first message with that header.
#[track_caller]
fn check_header(
    is_plus: bool,
    header: &str,
    channel: Option<&SecureChannel>,
    offered: &Offered,
    expected: &str,
) {
    let mechanism = if is_plus { Mechanism::ScramPlus } else { Mechanism::Scram };
    let setting = Setting { channel, offered, ..setting() };
    let message = format!("{header}n=romeo,r=a");
    let outcome = begin(mechanism(ScramHash::Sha1), &setting, Some(message.as_bytes()));
    assert_eq!(named(&outcome), expected, "{header} plus: {is_plus}");
}

#[test]
fn a_header_must_fit_the_mechanism_the_offer_and_the_channel() {
    let (channel, offered) = (channel(), offered());
    for (is_plus, header, expected) in [
        (true, "p=tls-exporter,,", "look up"),
        (true, "p=tls-server-end-point,,", "look up"),
        (true, "p=tls-exporter,a=romeo@example.net,", "look up"),
        (true, "p=tls-exporter,a=juliet@example.net,", "invalid-authzid"),
        (true, "p=tls-unique,,", "not-authorized"),
        (true, "p=TLS-EXPORTER,,", "not-authorized"),
        (true, "n,,", "not-authorized"),
        (true, "y,,", "not-authorized"),
        (true, "p=,,", "malformed-request"),
        (true, "p,,", "malformed-request"),
        (true, "p=tls exporter,,", "malformed-request"),
        (true, "p=tls-exporter=,,", "malformed-request"),
        (false, "p=tls-exporter,,", "not-authorized"),
        (false, "p=tls-unique,,", "not-authorized"),
        (false, "n,,", "look up"),
        // The client has not seen what was offered: somebody took it away.
        (false, "y,,", "not-authorized"),
    ] {
        check_header(is_plus, header, Some(&channel), &offered, expected);
    }
}

#[test]
fn the_flag_y_passes_where_no_binding_was_offered() {
    let offered = Offered::new(vec![Mechanism::Scram(ScramHash::Sha1)], Vec::new());
    check_header(false, "y,,", Some(&channel()), &offered, "look up");
    check_header(false, "y,,", None, &offered, "look up");
    check_header(true, "y,,", None, &offered, "not-authorized");
}

#[test]
fn a_type_of_binding_without_offer_or_data_is_refused() {
    let plus = vec![Mechanism::ScramPlus(ScramHash::Sha1)];
    let only_end_point = Offered::new(plus.clone(), vec![BindingType::EndPoint]);
    check_header(true, "p=tls-exporter,,", Some(&channel()), &only_end_point, "not-authorized");
    check_header(true, "p=tls-server-end-point,,", Some(&channel()), &only_end_point, "look up");
    let without_data = SecureChannel { exporter: None, end_point: None, ..channel() };
    for header in ["p=tls-exporter,,", "p=tls-server-end-point,,"] {
        check_header(true, header, Some(&without_data), &offered(), "not-authorized");
        check_header(true, header, None, &offered(), "not-authorized");
        check_header(
            true,
            header,
            Some(&channel()),
            &Offered::new(plus.clone(), Vec::new()),
            "not-authorized",
        );
    }
}

/// Logs in with what a client believes to be bound.
fn log_in(hash: ScramHash, header: &'static str, bound: &[u8]) -> &'static str {
    let (channel, offered, stored) = (channel(), offered(), credentials("secret"));
    let setting = Setting { channel: Some(&channel), offered: &offered, ..setting() };
    let client = Client { gs2_header: header, ..Client::new(hash) };
    let mechanism = if header.starts_with('p') { Mechanism::ScramPlus } else { Mechanism::Scram };
    let (server_first, exchange) = client.challenged_on(mechanism(hash), &setting, Some(&stored));
    let bound = STANDARD.encode([header.as_bytes(), bound].concat());
    let without_proof = format!("c={bound},r=clientnonce{SERVER_NONCE}");
    let message = client.client_final("secret", &server_first, &without_proof);
    named(&exchange.respond(&setting, message.as_bytes()))
}

#[test]
fn each_hash_logs_in_bound_to_each_type_and_to_this_channel_only() {
    for hash in ALL {
        for (header, data) in [("p=tls-exporter,,", &[7; 32][..]), ("p=tls-server-end-point,,", &[9; 48][..])]
        {
            assert_eq!(log_in(hash, header, data), "success", "{hash:?} {header}");
            for other in [&[8; 32][..], &[9; 48], &[7; 31], &[7; 33], &[9; 47], &[]] {
                if other != data {
                    assert_eq!(log_in(hash, header, other), "not-authorized", "{hash:?} {header}");
                }
            }
        }
        assert_eq!(log_in(hash, "n,,", &[]), "success");
        // Data without a flag for it (RFC 5802, 7).
        assert_eq!(log_in(hash, "n,,", &[7; 32]), "not-authorized");
    }
}

#[test]
fn another_header_in_the_final_message_is_refused() {
    let (channel, offered, stored) = (channel(), offered(), credentials("secret"));
    let setting = Setting { channel: Some(&channel), offered: &offered, ..setting() };
    let client = Client { gs2_header: "p=tls-exporter,,", ..Client::new(ScramHash::Sha256) };
    for header in ["n,,", "y,,", "p=tls-server-end-point,,", "p=tls-exporter,a=romeo@example.net,", ""] {
        let (server_first, exchange) =
            client.challenged_on(Mechanism::ScramPlus(ScramHash::Sha256), &setting, Some(&stored));
        let bound = STANDARD.encode([header.as_bytes(), &[7; 32]].concat());
        let message =
            client.client_final("secret", &server_first, &format!("c={bound},r=clientnonce{SERVER_NONCE}"));
        assert_eq!(named(&exchange.respond(&setting, message.as_bytes())), "not-authorized", "{header}");
    }
}

/// Plays the example of XEP-0474 or XEP-0515 with its data for the channel, which are shorter than real ones.
#[track_caller]
fn check_example(version: Option<TlsVersion>, expected_first: &str, client_final: &str, verifier: &str) {
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap();
    let stored = Credentials {
        keys: vec![ScramKeys::derive(ScramHash::Sha1, "pencil", &salt, 4096).unwrap()],
        digest: None,
    };
    let channel = channel();
    let offered = Offered::new(
        vec![Mechanism::ScramPlus(ScramHash::Sha1), Mechanism::Scram(ScramHash::Sha1)],
        vec![BindingType::EndPoint, BindingType::Exporter],
    );
    let setting = Setting { channel: Some(&channel), offered: &offered, ..setting() };
    let message = "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6";
    let begun = begin(Mechanism::ScramPlus(ScramHash::Sha1), &setting, Some(message.as_bytes()));
    let mut look_up = look_up(begun);
    if let Request::Scram(first) = &mut look_up.request {
        first.binding = Zeroizing::new(b"p=tls-exporter,,THIS IS FAKE CB DATA".to_vec());
        if version.is_none() {
            first.extensions.truncate(first.extensions.len() - ",t=0304".len());
        }
    }
    let nonce = "a09117a6-ac50-4f2f-93f1-93799c2bddf6";
    let (server_first, exchange) = challenge(look_up.answer(Some(&stored), &fakes(), nonce));
    assert_eq!(server_first, expected_first);
    let (_, data) = success(exchange.respond(&setting, client_final.as_bytes()));
    assert_eq!(data.as_deref(), Some(verifier));
}

#[test]
fn the_conversation_of_xep_0515_is_reproduced() {
    check_example(
        Some(TlsVersion::V13),
        "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304",
        "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,p=KHUfN8dSy1K95crT4D5y1ItLJfs=",
        "v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=",
    );
}

#[test]
fn the_conversation_of_xep_0474_is_reproduced() {
    check_example(
        None,
        "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
        "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=",
        "v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=",
    );
}

/// What our first message says after the iterations.
fn extensions(channel: Option<&SecureChannel>, offered: &Offered) -> String {
    let setting = Setting { channel, offered, ..setting() };
    let client = Client::new(ScramHash::Sha256);
    let (server_first, _) = client.challenged_on(Mechanism::Scram(ScramHash::Sha256), &setting, None);
    server_first.split_once(",i=16").unwrap().1.to_owned()
}

#[test]
fn the_offer_is_signed_with_and_without_tls_and_the_version_with_it() {
    let offered = offered();
    let hash = offered.protection(ScramHash::Sha256).unwrap();
    assert_eq!(extensions(None, &offered), format!(",h={hash}"));
    assert_eq!(extensions(Some(&channel()), &offered), format!(",h={hash},t=0304"));
    let older = SecureChannel { version: TlsVersion::V12, ..channel() };
    assert_eq!(extensions(Some(&older), &offered), format!(",h={hash},t=0303"));
}

#[test]
fn nothing_is_added_for_clients_that_cannot_bear_it() {
    let offered = offered().without_protection();
    assert_eq!(extensions(Some(&channel()), &offered), "");
    assert_eq!(extensions(None, &Offered::default()), "");
    assert!(offered.binds());
}

/// A client that takes `h` and `t` out of what it signs has not seen them: somebody else took them out.
#[test]
fn a_client_that_was_not_shown_the_attributes_does_not_get_in() {
    let (channel, offered, stored) = (channel(), offered(), credentials("secret"));
    let setting = Setting { channel: Some(&channel), offered: &offered, ..setting() };
    let client = Client::new(ScramHash::Sha256);
    let log_in = |shown: fn(&str) -> String| {
        let (server_first, exchange) =
            client.challenged_on(Mechanism::Scram(ScramHash::Sha256), &setting, Some(&stored));
        let message = client.client_final("secret", &shown(&server_first), RIGHT);
        named(&exchange.respond(&setting, message.as_bytes()))
    };
    assert_eq!(log_in(str::to_owned), "success");
    assert_eq!(log_in(|first| first.split_once(",h=").unwrap().0.to_owned()), "not-authorized");
    assert_eq!(log_in(|first| first.replace("t=0304", "t=0303")), "not-authorized");
}

#[test]
fn an_independent_client_bears_the_attributes() {
    let (channel, offered, stored) = (channel(), offered(), credentials("secret"));
    let setting = Setting { channel: Some(&channel), offered: &offered, ..setting() };
    let (client, client_first) = ::scram::ScramClient::new("romeo", "secret", None).client_first();
    let begun = begin(Mechanism::Scram(ScramHash::Sha256), &setting, Some(client_first.as_bytes()));
    let (server_first, exchange) = challenge(look_up(begun).answer(Some(&stored), &fakes(), SERVER_NONCE));
    assert!(server_first.ends_with(",t=0304"));
    let (client, client_final) = client.handle_server_first(&server_first).unwrap().client_final();
    let (_, data) = success(exchange.respond(&setting, client_final.as_bytes()));
    client.handle_server_final(&data.unwrap()).unwrap();
}
