//! Keys: from which passwords they are derived, and their text in the store.

use super::*;
use crate::sasl::keys::PASSWORD_BYTES_MAX;

#[test]
fn a_password_is_prepared_with_saslprep() {
    // RFC 4013, 3: a soft hyphen is mapped to nothing, U+2168 to IX, U+00AA to a.
    for (typed, prepared) in [("I\u{ad}X", "IX"), ("\u{2168}", "IX"), ("\u{aa}", "a"), ("a\u{a0}b", "a b")] {
        assert!(
            ScramKeys::derive(ScramHash::Sha1, typed, b"salt", 1).unwrap()
                == ScramKeys::derive(ScramHash::Sha1, prepared, b"salt", 1).unwrap()
        );
    }
    for bad in ["", "\u{ad}", "a\u{7}b", "\u{627}1", "\u{e000}"] {
        assert_eq!(ScramKeys::derive(ScramHash::Sha1, bad, b"salt", 1).err(), Some(BadPassword), "{bad:?}");
        assert_eq!(
            Credentials::derive(&account(), bad, &plan(), || [0; 16]).err(),
            Some(BadPassword),
            "{bad:?}"
        );
    }
    let longest = "a".repeat(PASSWORD_BYTES_MAX);
    assert!(ScramKeys::derive(ScramHash::Sha1, &longest, b"salt", 1).is_ok());
    assert!(ScramKeys::derive(ScramHash::Sha1, &format!("{longest}a"), b"salt", 1).is_err());
}

#[test]
fn no_iterations_count_as_one() {
    let keys = ScramKeys::derive(ScramHash::Sha1, "a", b"salt", 0).unwrap();
    assert!(keys == ScramKeys::derive(ScramHash::Sha1, "a", b"salt", 1).unwrap());
    let fakes = FakeSalts::new(b"secret", KeyPlan { hashes: Vec::new(), iterations: 0, digest: false });
    assert_eq!(fakes.keys(ScramHash::Sha1, "romeo", DOMAIN).iterations, 1);
}

#[test]
fn each_account_key_has_a_salt_of_its_own() {
    let stored = credentials("secret");
    assert_eq!(stored.keys.iter().map(|keys| keys.salt[0]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(stored.strongest().unwrap().hash, ScramHash::Sha512);
    assert_eq!(stored.for_hash(ScramHash::Sha1).unwrap().hash, ScramHash::Sha1);
}

#[test]
fn keys_survive_their_text() {
    // Computed with Python's hashlib.
    let text = "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=";
    let keys: ScramKeys = text.parse().unwrap();
    let salt = STANDARD.decode("QSXCR+Q6sek8bf92").unwrap();
    assert!(keys == ScramKeys::derive(ScramHash::Sha1, "pencil", &salt, 4096).unwrap());
    assert_eq!(*keys.to_text(), text);
    for keys in credentials("secret").keys {
        assert!(keys.to_text().parse::<ScramKeys>().unwrap() == keys);
    }
}

#[test]
fn a_text_that_is_no_keys_is_refused() {
    for text in [
        "",
        "secret",
        "{SCRAM-SHA-1}",
        "{SCRAM-MD5}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}0,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4294967295,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}-1,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,AAAA,D+CSWLOshSulAsxiupA+qs2/fTE=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
        "{SCRAM-SHA-1}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=,",
        "{SCRAM-SHA-256}4096,QSXC,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
    ] {
        assert_eq!(text.parse::<ScramKeys>().err(), Some(BadKeys), "{text}");
    }
}
