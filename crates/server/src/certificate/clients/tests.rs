//! Certificates of clients, good ones and such as try to be somebody.

use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, OtherNameValue, SanType, date_time_ymd,
};

use super::super::provider;
use super::*;

const XMPP_ADDRESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 5];

/// An authority, and those who trust it.
fn authority() -> (Issuer<'static, KeyPair>, Authorities) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "An authority");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
    (Issuer::new(params, key), Authorities::load(&file, &provider()).unwrap())
}

fn named(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = |name: &&str| {
        SanType::OtherName((XMPP_ADDRESS.to_vec(), OtherNameValue::Utf8String((*name).to_owned())))
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params
}

fn signed(params: &CertificateParams, authority: &Issuer<'_, KeyPair>) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().clone()
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

/// Whom a certificate speaks for on `localhost`, whose authorities these are.
fn speaks_for(certificate: &CertificateDer<'_>, authorities: &Authorities) -> Vec<String> {
    let of = |domain: &str| (domain == "localhost").then_some(authorities);
    vouch(std::slice::from_ref(certificate), of, now()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_certificate_speaks_for_the_accounts_that_it_names_each_once() {
    let (authority, authorities) = authority();
    let names = [
        "romeo@localhost",
        "Juliet@LOCALHOST",
        "romeo@localhost",
        "ROMEO@localhost",
        "tybalt@elsewhere.example",
    ];
    let certificate = signed(&named(&names), &authority);
    assert_eq!(speaks_for(&certificate, &authorities), ["romeo@localhost", "juliet@localhost"]);
    assert!(vouch(&[], |_| Some(&authorities), now()).is_empty());
}

#[test]
fn the_authorities_of_a_host_vouch_for_its_own_accounts_alone() {
    let (authority, authorities) = authority();
    let (_, others) = self::authority();
    let certificate = signed(&named(&["romeo@a.example", "romeo@b.example", "romeo@c.example"]), &authority);
    let of = |domain: &str| match domain {
        "a.example" => Some(&authorities),
        "b.example" => Some(&others),
        _ => None,
    };
    let accounts: Vec<String> = vouch(&[certificate], of, now()).iter().map(ToString::to_string).collect();
    assert_eq!(accounts, ["romeo@a.example"]);
}

#[test]
fn a_chain_is_followed_and_a_client_s_certificate_signs_no_other() {
    let (authority, authorities) = authority();
    for (is_ca, count) in [(IsCa::Ca(BasicConstraints::Unconstrained), 1), (IsCa::NoCa, 0)] {
        let key = KeyPair::generate().unwrap();
        let mut between = named(&["mallory@localhost"]);
        between.distinguished_name.push(DnType::CommonName, "Between");
        between.is_ca = is_ca;
        let middle = between.signed_by(&key, &authority).unwrap().der().clone();
        let own = signed(&named(&["romeo@localhost"]), &Issuer::new(between, key));
        assert_eq!(vouch(&[own.clone(), middle], |_| Some(&authorities), now()).len(), count);
        assert!(vouch(&[own], |_| Some(&authorities), now()).is_empty(), "without what is between");
    }
}

#[test]
fn nobody_is_vouched_for_by_a_stranger_or_at_another_time_or_for_another_use() {
    let (authority, authorities) = authority();
    let romeo = || named(&["romeo@localhost"]);
    let (stranger, _) = self::authority();
    assert_eq!(speaks_for(&signed(&romeo(), &stranger), &authorities), [""; 0]);
    let own = romeo().self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    assert_eq!(speaks_for(&own, &authorities), [""; 0]);
    let mut old = romeo();
    (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    assert_eq!(speaks_for(&signed(&old, &authority), &authorities), [""; 0]);
    let mut early = romeo();
    (early.not_before, early.not_after) = (date_time_ymd(2089, 1, 1), date_time_ymd(2090, 1, 1));
    assert_eq!(speaks_for(&signed(&early, &authority), &authorities), [""; 0]);
    for (usage, count) in [(ExtendedKeyUsagePurpose::ServerAuth, 0), (ExtendedKeyUsagePurpose::ClientAuth, 1)]
    {
        let mut used = romeo();
        used.extended_key_usages = vec![usage];
        assert_eq!(speaks_for(&signed(&used, &authority), &authorities).len(), count);
    }
}

/// A subject's alternative name with one entry of this DER.
fn with_entry(entry: &[u8]) -> CertificateParams {
    let mut params = named(&[]);
    let content = [&[0x30, u8::try_from(entry.len()).unwrap()], entry].concat();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], content)];
    params
}

/// otherName of id-on-xmppAddr with this DER as its value.
fn other_name(value: &[u8]) -> Vec<u8> {
    let oid = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, 5];
    let length = u8::try_from(oid.len() + value.len()).unwrap();
    [&[0xa0, length], &oid[..], value].concat()
}

/// `[0] EXPLICIT` of a string of this tag.
fn explicit(tag: u8, text: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let inner = [&[tag, length], text, behind].concat();
    [&[0xa0, u8::try_from(inner.len()).unwrap()], &inner[..]].concat()
}

#[test]
fn attack_06_a_certificate_that_only_looks_like_somebody_is_nobody() {
    let (authority, authorities) = authority();
    const ROMEO: &[u8] = b"romeo@localhost";
    let check = |params: CertificateParams, wanted: &[&str], what: &str| {
        assert_eq!(speaks_for(&signed(&params, &authority), &authorities), wanted, "{what}");
    };
    // First that what is made by hand here would count if it were right.
    check(with_entry(&other_name(&explicit(12, ROMEO, &[]))), &["romeo@localhost"], "as it should be");
    for (entry, what) in [
        (other_name(&explicit(22, ROMEO, &[])), "an IA5String"),
        (other_name(&explicit(4, ROMEO, &[])), "an OCTET STRING"),
        (other_name(&explicit(12, ROMEO, &[5, 0])), "something behind the text"),
        (other_name(&[&explicit(12, ROMEO, &[])[..], &[5, 0]].concat()), "something behind the value"),
        (other_name(&[&[12, 15], ROMEO].concat()), "not explicit"),
        (other_name(&explicit(12, b"romeo@localhost\0", &[])), "a NUL at the end"),
        (other_name(&explicit(12, b"romeo@localhost\0.mallory.example", &[])), "a NUL in the domain"),
        (other_name(&explicit(12, b"romeo\0@localhost", &[])), "a NUL in the localpart"),
        (other_name(&explicit(12, b"\xffromeo@localhost", &[])), "no UTF-8"),
        (other_name(&explicit(12, b"romeo@localhost/orchard", &[])), "a full JID"),
        (other_name(&explicit(12, b"localhost", &[])), "a domain"),
        (other_name(&explicit(12, b"@localhost", &[])), "an empty localpart"),
        (other_name(&explicit(12, b"CN=romeo@localhost", &[])), "a distinguished name in it"),
        (other_name(&explicit(12, b"mallory@x@localhost", &[])), "two at signs"),
        (other_name(&explicit(12, b"romeo@localhost@mallory.example", &[])), "two domains"),
        ([&[0x81, 15], ROMEO].concat(), "an e-mail address"),
        ([&[0x82, 15], ROMEO].concat(), "a DNS name"),
        ([&[0x86, 20], &b"xmpp:romeo@localhost"[..]].concat(), "a URI"),
    ] {
        let expected: &[&str] =
            if what == "a distinguished name in it" { &["cn=romeo@localhost"] } else { &[] };
        check(with_entry(&entry), expected, what);
    }
}

#[test]
fn attack_06_a_name_in_the_subject_is_nobody_s() {
    let (authority, authorities) = authority();
    for (kind, text) in [
        (DnType::CommonName, "romeo@localhost"),
        (DnType::CommonName, "xmppAddr=romeo@localhost"),
        (DnType::OrganizationalUnitName, "/CN=romeo@localhost"),
        (DnType::OrganizationalUnitName, "CN=romeo@localhost, OU=x"),
        // id-on-xmppAddr as an attribute of the subject.
        (DnType::CustomDnType(XMPP_ADDRESS.to_vec()), "romeo@localhost"),
    ] {
        for others in [&[][..], &["mallory@localhost"]] {
            let mut params = named(others);
            params.distinguished_name.push(kind.clone(), text);
            assert_eq!(speaks_for(&signed(&params, &authority), &authorities), others, "{text}");
        }
    }
    let mut params = named(&[]);
    let name = OtherNameValue::Utf8String("romeo@localhost".to_owned());
    params.subject_alt_names = vec![SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 7], name))];
    assert_eq!(speaks_for(&signed(&params, &authority), &authorities), [""; 0], "another kind of name");
}

#[test]
fn names_are_counted_and_so_are_a_client_s_certificates() {
    let (authority, authorities) = authority();
    let names: Vec<String> = (0..40).map(|number| format!("user{number}@localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(speaks_for(&signed(&named(&names), &authority), &authorities).len(), ACCOUNTS_MAX);
    let verifier = AnyHolder(provider());
    assert!(!verifier.client_auth_mandatory() && verifier.offer_client_auth());
    let one = CertificateDer::from(vec![0; 100]);
    let takes = |own: &CertificateDer<'_>, others: usize| {
        verifier.verify_client_cert(own, &vec![one.clone(); others], now()).is_ok()
    };
    assert!(takes(&one, CHAIN_MAX - 1) && !takes(&one, CHAIN_MAX));
    let long = CertificateDer::from(vec![0; CHAIN_BYTES_MAX - 100]);
    assert!(takes(&long, 1) && !takes(&long, 2));
    // No certificate at all, and one that is none.
    assert!(accounts(&one).is_empty());
}

#[test]
fn authorities_that_cannot_be_used_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let place = folder.path().display().to_string();
    let line = || Authorities::load(&file, &provider()).unwrap_err().to_string().replace(&place, "");
    assert!(line().starts_with("cannot read /ca.pem: No such file or directory"), "{}", line());
    std::fs::write(&file, "").unwrap();
    assert_eq!(line(), "/ca.pem holds no certificate: it must be PEM with BEGIN CERTIFICATE in it");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(line().starts_with("/ca.pem holds a certificate that cannot be read: "), "{}", line());
}
