//! Users who do not exist look like those who do.

use std::collections::BTreeMap;

use super::scram::{Client, RIGHT};
use super::*;

fn shape(hash: ScramHash, iterations: u32, salt_bytes: usize, accounts: u64) -> KeyShape {
    KeyShape { hash, iterations, salt_bytes, accounts }
}

/// What `users` unknown users are shown as.
fn shown(users: u32, keys_of: impl Fn(&str) -> ScramKeys) -> BTreeMap<(ScramHash, u32, usize), u32> {
    let mut shown = BTreeMap::new();
    for user in 0..users {
        let keys = keys_of(&format!("user{user}"));
        assert!(keys == keys_of(&format!("user{user}")), "a user keeps his shape");
        assert_eq!(keys.stored_key.len(), keys.hash.bytes());
        *shown.entry((keys.hash, keys.iterations, keys.salt.len())).or_default() += 1;
    }
    shown
}

/// A third of the accounts is old: SHA-1 only, few iterations, another salt.
fn of_two_ages() -> FakeSalts {
    fakes().with_shapes(vec![
        shape(ScramHash::Sha1, 4, 10, 1_000),
        shape(ScramHash::Sha1, 16, 16, 2_000),
        shape(ScramHash::Sha512, 16, 16, 2_000),
        shape(ScramHash::Sha512, 99, 16, 0),
    ])
}

#[track_caller]
fn assert_about(counted: Option<&u32>, expected: u32) {
    let counted = counted.copied().unwrap_or(0);
    assert!(counted.abs_diff(expected) < 150, "{counted} instead of about {expected}");
}

#[test]
fn each_shape_is_as_frequent_among_unknown_users_as_among_known_ones() {
    let fakes = of_two_ages();
    let shown = shown(3_000, |user| fakes.keys(ScramHash::Sha1, user, DOMAIN));
    assert_eq!(shown.len(), 2);
    assert_about(shown.get(&(ScramHash::Sha1, 4, 10)), 1_000);
    assert_about(shown.get(&(ScramHash::Sha1, 16, 16)), 2_000);
}

#[test]
fn a_hash_of_which_there_are_no_accounts_looks_as_planned() {
    let fakes = of_two_ages();
    let shown = shown(50, |user| fakes.keys(ScramHash::Sha256, user, DOMAIN));
    assert_eq!(shown, BTreeMap::from([((ScramHash::Sha256, 16, 16), 50)]));
}

#[test]
fn a_password_costs_as_for_the_strongest_keys_of_as_many_accounts() {
    let fakes = of_two_ages();
    let shown = shown(3_000, |user| fakes.keys_for_password(user, DOMAIN));
    assert_eq!(shown.len(), 2);
    assert_about(shown.get(&(ScramHash::Sha1, 4, 10)), 1_000);
    assert_about(shown.get(&(ScramHash::Sha512, 16, 16)), 2_000);
}

#[test]
fn a_user_looks_equally_old_by_each_mechanism() {
    let fakes = of_two_ages();
    for user in (0..200).map(|user| format!("user{user}")) {
        let by_scram = fakes.keys(ScramHash::Sha1, &user, DOMAIN).iterations;
        assert_eq!(by_scram, fakes.keys_for_password(&user, DOMAIN).iterations, "{user}");
    }
}

#[test]
fn shapes_change_neither_the_salt_of_those_who_have_the_planned_one_nor_its_begin() {
    for user in (0..50).map(|user| format!("user{user}")) {
        let (with, without) = (
            of_two_ages().keys(ScramHash::Sha1, &user, DOMAIN),
            fakes().keys(ScramHash::Sha1, &user, DOMAIN),
        );
        assert_eq!(with.salt, without.salt[..with.salt.len()]);
    }
}

#[test]
fn a_salt_of_any_length_is_made_and_no_iterations_count_as_one() {
    for (asked, made) in [(0, 1), (1, 1), (32, 32), (33, 33), (100, 100), (usize::MAX, 1024)] {
        let fakes = fakes().with_shapes(vec![shape(ScramHash::Sha1, 0, asked, u64::MAX)]);
        let keys = fakes.keys(ScramHash::Sha1, "romeo", DOMAIN);
        assert_eq!((keys.salt.len(), keys.iterations), (made, 1));
        assert!(made < 33 || keys.salt[..32] != keys.salt[32..][..made.min(64) - 32]);
    }
    let all = vec![shape(ScramHash::Sha1, 1, 1, u64::MAX), shape(ScramHash::Sha1, 2, 2, u64::MAX)];
    assert!((1..=2).contains(&fakes().with_shapes(all).keys(ScramHash::Sha1, "romeo", DOMAIN).iterations));
}

#[test]
fn plain_checks_an_unknown_user_by_the_shape_that_he_is_shown_in() {
    let fakes = of_two_ages();
    let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(b"\0romeo\0secret")));
    let Outcome::Check(check, _) = look_up.answer(None, &fakes, SERVER_NONCE) else { panic!("no check") };
    assert!(check.keys == fakes.keys_for_password("romeo", DOMAIN));
}

#[test]
fn a_fake_account_lets_nobody_in_whatever_its_keys() {
    let (client, stored) = (Client::new(ScramHash::Sha1), credentials("secret"));
    let (server_first, mut exchange) = client.challenged(Some(&stored));
    if let Waiting::ClientFinal(waiting) = &mut exchange.0 {
        waiting.known = subtle::Choice::from(0);
    }
    let message = client.client_final("secret", &server_first, RIGHT);
    assert_eq!(named(&exchange.respond(&setting(), message.as_bytes())), "not-authorized");

    let check = |known| {
        let look_up = look_up(begin(Mechanism::Plain, &setting(), Some(b"\0romeo\0secret")));
        match look_up.answer(Some(&stored), &fakes(), SERVER_NONCE) {
            Outcome::Check(mut check, _) => {
                check.known = known;
                check
            }
            other => panic!("no check but {}", named(&other)),
        }
    };
    assert!(check(true).run(|| [0; 16]).right && !check(false).run(|| [0; 16]).right);
}

#[test]
fn an_unknown_user_gets_a_stable_salt_of_his_own() {
    let salt_of = |bare: &str, hash, domain, fakes: &FakeSalts| {
        let look_up = look_up(begin(
            Mechanism::Scram(hash),
            &Setting { domain, ..setting() },
            Some(format!("n,,{bare}").as_bytes()),
        ));
        let (server_first, _) = challenge(look_up.answer(None, fakes, SERVER_NONCE));
        let (_, rest) = server_first.split_once(",s=").unwrap();
        assert!(rest.ends_with(",i=16"), "{rest}");
        let salt = rest.strip_suffix(",i=16").unwrap().to_owned();
        assert_eq!(STANDARD.decode(&salt).unwrap().len(), 16);
        salt
    };
    let salt = salt_of("n=romeo,r=a", ScramHash::Sha1, DOMAIN, &fakes());
    assert_eq!(salt, salt_of("n=Romeo,r=b", ScramHash::Sha1, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=juliet,r=a", ScramHash::Sha1, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha256, DOMAIN, &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha1, "example.com", &fakes()));
    assert_ne!(salt, salt_of("n=romeo,r=a", ScramHash::Sha1, DOMAIN, &FakeSalts::new(b"x", plan())));
}

#[test]
fn an_account_without_keys_for_the_mechanism_is_answered_as_unknown() {
    let mut stored = credentials("secret");
    stored.keys.retain(|keys| keys.hash != ScramHash::Sha1);
    let client = Client::new(ScramHash::Sha1);
    assert_eq!(client.challenged(Some(&stored)).0, client.challenged(None).0);
    assert_eq!(client.run(Some(&stored), "secret", RIGHT), "not-authorized");
}
