//! Keys that a password is made to, at a login by PLAIN and beside it.

use super::*;

/// Nothing but the key of DIGEST-MD5.
pub(super) fn with_digest(password: &str) -> Credentials {
    let plan = KeyPlan { hashes: Vec::new(), iterations: 1, digest: true };
    Credentials::derive(&account(), password, &plan, || [0; 16]).unwrap()
}

fn stored(hashes: &[ScramHash], iterations: u32) -> Credentials {
    let plan = KeyPlan { hashes: hashes.to_vec(), iterations, digest: false };
    Credentials::derive(&account(), "secret", &plan, || [9; 16]).unwrap()
}

/// Logs in as `user` by PLAIN on a host with that plan.
fn verdict(password: &str, stored: &Credentials, plan: &KeyPlan) -> Verdict {
    let fakes = FakeSalts::new(b"secret", plan.clone());
    let message = format!("\0user\0{password}");
    let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(message.as_bytes())));
    match look_up.answer(Some(stored), &fakes, SERVER_NONCE) {
        Outcome::Check(check, checking) => {
            let mut salt = 0;
            let verdict = check.run(|| {
                salt += 1;
                [salt; 16]
            });
            let shown = Verdict { right: verdict.right, stronger: verdict.stronger.clone() };
            match (checking.answer(verdict), &shown.stronger) {
                (Outcome::Success { evidence: Evidence::Stronger(old, new), .. }, Some(stronger)) => {
                    assert!(stored.keys.contains(&old) && new == *stronger);
                }
                (Outcome::Success { evidence: Evidence::Keys(keys), .. }, None) => {
                    assert!(stored.keys.contains(&keys));
                }
                (Outcome::Failure(SaslFailure::NotAuthorized), None) => assert!(!shown.right),
                (other, _) => panic!("{}", named(&other)),
            }
            shown
        }
        other => panic!("no check but {}", named(&other)),
    }
}

#[test]
fn a_right_password_is_made_to_all_keys_that_are_planned() {
    let plan = KeyPlan { digest: true, ..plan() };
    let verdict = verdict("secret", &stored(&[ScramHash::Sha1], 2), &plan);
    let stronger = verdict.stronger.unwrap();
    assert!(verdict.right && plan.is_met_by(&stronger));
    assert_eq!(stronger.keys.iter().map(|keys| keys.hash).collect::<Vec<_>>(), ALL);
    assert_eq!(stronger.keys.iter().map(|keys| keys.salt[0]).collect::<Vec<_>>(), [1, 2, 3]);
    for keys in &stronger.keys {
        assert!(*keys == ScramKeys::derive(keys.hash, "secret", &keys.salt, 16).unwrap());
    }
    assert!(stronger.digest == with_digest("secret").digest);
}

#[test]
fn a_wrong_password_and_strong_keys_make_none() {
    assert!(verdict("Secret", &stored(&[ScramHash::Sha1], 2), &plan()).stronger.is_none());
    assert!(verdict("secret", &stored(&ALL, 16), &plan()).stronger.is_none());
    assert!(verdict("secret", &stored(&ALL, 17), &plan()).stronger.is_none());
}

#[test]
fn no_key_goes_and_none_gets_weaker() {
    let mut stored = stored(&ALL, 20);
    stored.keys[1] = ScramKeys::derive(ScramHash::Sha256, "secret", &[9; 16], 3).unwrap();
    stored.digest = Some(DigestKey(Zeroizing::new([4; 16])));
    let plan = KeyPlan { hashes: vec![ScramHash::Sha256, ScramHash::Sha512], iterations: 16, digest: true };
    let stronger = verdict("secret", &stored, &plan).stronger.unwrap();
    for hash in [ScramHash::Sha1, ScramHash::Sha512] {
        assert!(stronger.for_hash(hash) == stored.for_hash(hash), "{hash:?}");
    }
    assert_eq!(stronger.for_hash(ScramHash::Sha256).unwrap().iterations, 16);
    assert_eq!((stronger.keys.len(), &stronger.digest), (3, &stored.digest));
    // What an empty plan leaves is what is stored.
    let none = KeyPlan { hashes: Vec::new(), iterations: 16, digest: false };
    assert!(stored.strengthened(&account(), "secret", &none, || [0; 16]).unwrap() == stored);
}

#[test]
fn a_plan_wants_what_is_missing_or_weaker() {
    let plan = KeyPlan { hashes: vec![ScramHash::Sha256, ScramHash::Sha512], iterations: 16, digest: false };
    let stored = stored(&[ScramHash::Sha1, ScramHash::Sha256], 15);
    for (hash, wanted) in [(ScramHash::Sha1, false), (ScramHash::Sha256, true), (ScramHash::Sha512, true)] {
        assert_eq!(plan.wants(hash, &stored), wanted, "{hash:?}");
    }
    let plan = KeyPlan { iterations: 15, ..plan };
    assert!(!plan.wants(ScramHash::Sha256, &stored) && !plan.is_met_by(&stored));
    let plan = KeyPlan { hashes: vec![ScramHash::Sha256], ..plan };
    assert!(plan.is_met_by(&stored) && !KeyPlan { digest: true, ..plan }.is_met_by(&stored));
}

/// XEP-0480, 3: with the example's salt. (It does not tell its password; this SaltedPassword was computed with Python's
/// `hashlib`.)
#[test]
fn keys_are_made_of_a_clients_salted_password() {
    let salt = STANDARD.decode("QV9TWENSWFE2c2VrOGJmX1o=").unwrap();
    let salted = STANDARD.decode("Q8abK3WIX500A5++8zDamXbZWpoXgWMwdXKO9eFKk8w=").unwrap();
    let keys = ScramKeys::from_salted_password(ScramHash::Sha256, &salted, &salt, 4096).unwrap();
    assert!(keys == ScramKeys::derive(ScramHash::Sha256, "pencil", &salt, 4096).unwrap());
    for (hash, salted, salt, iterations) in [
        (ScramHash::Sha1, &salted[..], &salt[..], 4096),
        (ScramHash::Sha256, &salted[..31], &salt, 4096),
        (ScramHash::Sha256, &[], &salt, 4096),
        (ScramHash::Sha256, &salted, &[], 4096),
        (ScramHash::Sha256, &salted, &salt, 0),
        (ScramHash::Sha256, &salted, &salt, u32::MAX),
    ] {
        assert_eq!(ScramKeys::from_salted_password(hash, salted, salt, iterations).err(), Some(BadKeys));
    }
}
