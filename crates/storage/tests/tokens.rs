//! Tokens of FAST, keys that are added or counted, and the key of DIGEST-MD5, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{Answer, SqlStore, Store, StoreError};
use rjabberd_xmpp::sasl::{
    ClientId, Credentials, DigestKey, FastToken, KeyShape, ScramHash, ScramKeys, TokenChange, TokenMechanism,
    TokenSlot, Tokens, UsedToken,
};
use support::{Home, account, credentials, jid, keys, nothing, seed, wait, with_accounts};
use zeroize::Zeroizing;

const CLIENT: ClientId = ClientId(7);
const CLIENTS_MAX: usize = 3;

/// A token of that name that was given out then.
fn token(name: &str, issued_unix_s: i64) -> FastToken {
    FastToken {
        mechanism: TokenMechanism::Exporter,
        secret: Zeroizing::new(name.to_owned()),
        issued_unix_s,
        expires_unix_s: issued_unix_s + 100,
        count: 0,
    }
}

fn issue(token: FastToken) -> TokenChange {
    TokenChange { issue: Some(token), ..TokenChange::default() }
}

fn used(slot: TokenSlot, name: &str, count: u32) -> TokenChange {
    let token = FastToken { count, ..token(name, 0) };
    TokenChange { used: Some(UsedToken { slot, token }), ..TokenChange::default() }
}

fn change(store: &SqlStore, client: ClientId, change: TokenChange) -> Answer<()> {
    store.change_tokens(&account("romeo"), client, change, CLIENTS_MAX)
}

fn changed(store: &SqlStore, order: TokenChange) {
    wait(change(store, CLIENT, order)).unwrap();
}

fn conflicts(store: &SqlStore, order: TokenChange) {
    let result = wait(change(store, CLIENT, order));
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
}

fn tokens(store: &SqlStore, client: ClientId) -> Tokens {
    wait(store.load_tokens(&account("romeo"), client)).unwrap().unwrap()
}

/// The names of the current and the fresh token of the client.
fn names(store: &SqlStore) -> (Option<String>, Option<String>) {
    let name = |token: Option<FastToken>| token.map(|token| token.secret.to_string());
    let Tokens { current, fresh } = tokens(store, CLIENT);
    (name(current), name(fresh))
}

fn named(current: &str, fresh: &str) -> (Option<String>, Option<String>) {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    (name(current), name(fresh))
}

fn romeo() -> (Home, SqlStore) {
    with_accounts(&["romeo"])
}

#[test]
fn a_token_comes_back_as_it_was_given_out() {
    let (_folder, store) = romeo();
    for mechanism in TokenMechanism::ALL {
        let given = FastToken { mechanism, count: 3, ..token("one", 5) };
        changed(&store, issue(given.clone()));
        let found = tokens(&store, CLIENT);
        assert!(found == Tokens { current: None, fresh: Some(given) });
    }
    assert!(tokens(&store, ClientId(8)) == Tokens::default(), "another client has none");
}

#[test]
fn a_token_that_is_used_takes_the_place_of_the_one_before_it() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    assert_eq!(names(&store), named("", "one"));
    changed(&store, used(TokenSlot::Fresh, "one", 0));
    assert_eq!(names(&store), named("one", ""));
    changed(&store, issue(token("two", 1)));
    assert_eq!(names(&store), named("one", "two"));
    // The client never got "two": "one" goes on.
    changed(&store, TokenChange { issue: Some(token("three", 2)), ..used(TokenSlot::Current, "one", 0) });
    assert_eq!(names(&store), named("one", "three"));
    conflicts(&store, used(TokenSlot::Fresh, "two", 0));
    changed(&store, TokenChange { issue: Some(token("four", 3)), ..used(TokenSlot::Fresh, "three", 0) });
    assert_eq!(names(&store), named("three", "four"));
    conflicts(&store, used(TokenSlot::Current, "one", 0));
}

#[test]
fn a_revoked_token_ends_with_all_others_of_its_client_and_of_no_other() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    changed(&store, TokenChange { issue: Some(token("two", 1)), ..used(TokenSlot::Fresh, "one", 0) });
    wait(change(&store, ClientId(8), issue(token("other", 0)))).unwrap();
    changed(&store, TokenChange { revoke: true, ..used(TokenSlot::Current, "one", 0) });
    assert_eq!(names(&store), named("", ""));
    assert!(tokens(&store, ClientId(8)).fresh.is_some());
    // One who revokes and asks for a new one has the new one.
    changed(&store, issue(token("three", 2)));
    let again = TokenChange { revoke: true, issue: Some(token("four", 3)), ..TokenChange::default() };
    changed(&store, again);
    assert_eq!(names(&store), named("", "four"));
}

#[test]
fn a_count_is_taken_once_and_none_below_it() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    changed(&store, used(TokenSlot::Fresh, "one", 5));
    for count in [5, 4, 1] {
        conflicts(&store, used(TokenSlot::Current, "one", count));
    }
    changed(&store, used(TokenSlot::Current, "one", 6));
    // Without a count nobody counts, and nothing is forgotten.
    changed(&store, used(TokenSlot::Current, "one", 0));
    conflicts(&store, used(TokenSlot::Current, "one", 6));
    assert_eq!(tokens(&store, CLIENT).current.unwrap().count, 6);
}

#[test]
fn of_two_logins_with_one_count_one_gets_in() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    let both: Vec<_> = (0..2).map(|_| change(&store, CLIENT, used(TokenSlot::Fresh, "one", 1))).collect();
    let results: Vec<_> = both.into_iter().map(wait).collect();
    let right = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(right, 1, "{results:?}");
}

#[test]
fn two_logins_at_once_by_a_new_token_without_a_count_both_get_in() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    let both: Vec<_> = (0..2).map(|_| change(&store, CLIENT, used(TokenSlot::Fresh, "one", 0))).collect();
    both.into_iter().for_each(|answer| wait(answer).unwrap());
    assert_eq!(names(&store), named("one", ""));
}

#[test]
fn a_refused_change_changes_nothing() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    let order =
        TokenChange { revoke: true, issue: Some(token("two", 1)), ..used(TokenSlot::Current, "another", 0) };
    conflicts(&store, order);
    assert_eq!(names(&store), named("", "one"));
}

#[test]
fn a_login_whose_password_was_changed_meanwhile_gets_no_token() {
    let (_folder, store) = romeo();
    let login = || wait(store.load_login(&account("romeo"))).unwrap().unwrap().credentials.keys;
    let (before, none) = (login(), TokenMechanism::None);
    let by = |keys: &[ScramKeys]| TokenChange {
        witnesses: keys.to_vec(),
        ..issue(FastToken { mechanism: none, ..token("one", 0) })
    };
    let own = keys(ScramHash::Sha512, 77);
    changed(&store, by(&[std::slice::from_ref(&own), &before].concat()));
    wait(store.set_credentials(&account("romeo"), credentials(78))).unwrap();
    conflicts(&store, by(&before));
    conflicts(&store, by(std::slice::from_ref(&own)));
    assert_eq!(names(&store), named("", ""));
    changed(&store, by(&login()));
}

#[test]
fn a_token_works_with_no_other_mechanism_than_its_own() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    let mut other = used(TokenSlot::Fresh, "one", 0);
    other.used.as_mut().unwrap().token.mechanism = TokenMechanism::None;
    conflicts(&store, other);
}

#[test]
fn a_new_password_between_a_look_and_a_change_ends_the_token() {
    let (folder, store) = romeo();
    let replace = || vec![(account("romeo"), credentials(3))];
    let ways: [&dyn Fn(); 2] =
        [&|| wait(store.set_credentials(&account("romeo"), credentials(2))).unwrap(), &|| {
            assert_eq!(wait(store.import_accounts(replace(), true)).unwrap().replaced, 1)
        }];
    for way in ways {
        changed(&store, issue(token("one", 0)));
        assert!(tokens(&store, CLIENT).fresh.is_some());
        way();
        conflicts(&store, used(TokenSlot::Fresh, "one", 0));
        assert_eq!(folder.rows("fast_token"), 0);
    }
    // What is left alone keeps them.
    changed(&store, issue(token("one", 0)));
    wait(store.import_accounts(replace(), false)).unwrap();
    changed(&store, used(TokenSlot::Fresh, "one", 0));
}

#[test]
fn a_removed_account_leaves_no_token_and_its_successor_has_none() {
    let (folder, store) = romeo();
    let digest = DigestKey(Zeroizing::new([9; 16]));
    let with_digest = Credentials { digest: Some(digest), ..credentials(1) };
    wait(store.set_credentials(&account("romeo"), with_digest)).unwrap();
    changed(&store, issue(token("one", 0)));
    assert_eq!((folder.rows("fast_token"), folder.rows("digest_key")), (1, 1));
    wait(store.remove_account(&account("romeo"), nothing())).unwrap();
    assert_eq!((folder.rows("fast_token"), folder.rows("digest_key")), (0, 0));
    assert!(wait(store.load_tokens(&account("romeo"), CLIENT)).unwrap().is_none());
    let gone = wait(change(&store, CLIENT, used(TokenSlot::Fresh, "one", 0)));
    assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    wait(store.create_account(&account("romeo"), credentials(2))).unwrap();
    assert!(tokens(&store, CLIENT) == Tokens::default());
    conflicts(&store, used(TokenSlot::Fresh, "one", 0));
}

#[test]
fn one_who_may_not_log_in_has_no_tokens_and_none_when_he_may_again() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    wait(store.set_disabled(&account("romeo"), true)).unwrap();
    assert!(wait(store.load_tokens(&account("romeo"), CLIENT)).unwrap().is_none());
    for order in [used(TokenSlot::Fresh, "one", 0), issue(token("two", 0))] {
        let result = wait(change(&store, CLIENT, order));
        assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    }
    wait(store.set_disabled(&account("romeo"), false)).unwrap();
    assert_eq!(names(&store), named("", ""));
}

#[test]
fn of_too_many_clients_those_end_whose_token_is_the_oldest() {
    let (_folder, store) = romeo();
    let kept = || (1..=5).filter(|client| tokens(&store, ClientId(*client)) != Tokens::default());
    for (client, issued) in [(1, 10), (2, 20), (3, 30)] {
        wait(change(&store, ClientId(client), issue(token("one", issued)))).unwrap();
    }
    assert_eq!(kept().collect::<Vec<_>>(), [1, 2, 3]);
    // The first has got a newer one meanwhile; its old one, in use, does not make it old.
    let newer = TokenChange { issue: Some(token("two", 40)), ..used(TokenSlot::Fresh, "one", 0) };
    wait(change(&store, ClientId(1), newer)).unwrap();
    wait(change(&store, ClientId(4), issue(token("one", 50)))).unwrap();
    assert_eq!(kept().collect::<Vec<_>>(), [1, 3, 4]);
    assert!(tokens(&store, ClientId(1)).current.is_some());
    // Whoever asks gets one, also where the clock has gone back.
    wait(change(&store, ClientId(5), issue(token("one", 0)))).unwrap();
    assert_eq!(kept().collect::<Vec<_>>(), [1, 4, 5]);
}

#[test]
fn tokens_that_ended_are_forgotten_in_pieces() {
    let (folder, store) = romeo();
    for client in 0..3 {
        let token = token("one", i64::try_from(client).unwrap());
        wait(store.change_tokens(&account("romeo"), ClientId(client), issue(token), 10)).unwrap();
    }
    // They end at 100, 101 and 102.
    assert_eq!(wait(store.expire_tokens(100, 10)).unwrap(), 0);
    assert_eq!(wait(store.expire_tokens(102, 1)).unwrap(), 1);
    assert!(tokens(&store, ClientId(0)) == Tokens::default());
    assert_eq!(wait(store.expire_tokens(102, 10)).unwrap(), 1);
    assert_eq!(wait(store.expire_tokens(102, 10)).unwrap(), 0);
    assert_eq!(folder.rows("fast_token"), 1);
}

#[test]
fn nobody_has_no_tokens() {
    let (_folder, store) = romeo();
    for nobody in [account("nobody"), jid("example.net")] {
        assert!(wait(store.load_tokens(&nobody, CLIENT)).unwrap().is_none());
        let result = wait(store.change_tokens(&nobody, CLIENT, TokenChange::default(), 3));
        assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
        let result = wait(store.add_keys(&nobody, keys(ScramHash::Sha1, 1), credentials(1)));
        assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    }
}

#[test]
fn the_key_of_digest_md5_is_stored_with_the_others_and_replaced_with_them() {
    let (_folder, store) = romeo();
    let digest_of = |name: &str| {
        let login = wait(store.load_login(&account(name))).unwrap().unwrap();
        login.credentials.digest.map(|DigestKey(key)| key[0])
    };
    let with =
        |number: u8| Credentials { digest: Some(DigestKey(Zeroizing::new([number; 16]))), ..credentials(1) };
    assert_eq!(digest_of("romeo"), None);
    wait(store.create_account(&account("juliet"), with(1))).unwrap();
    assert_eq!(digest_of("juliet"), Some(1));
    wait(store.set_credentials(&account("juliet"), with(2))).unwrap();
    assert_eq!(digest_of("juliet"), Some(2));
    let batch = vec![(account("juliet"), with(3)), (account("nurse"), with(4))];
    wait(store.import_accounts(batch, true)).unwrap();
    assert_eq!((digest_of("juliet"), digest_of("nurse")), (Some(3), Some(4)));
    let added = Credentials { keys: Vec::new(), ..with(5) };
    wait(store.add_keys(&account("juliet"), keys(ScramHash::Sha1, 1), added)).unwrap();
    assert_eq!(digest_of("juliet"), Some(5));
    wait(store.set_credentials(&account("juliet"), credentials(6))).unwrap();
    assert_eq!(digest_of("juliet"), None);
}

#[test]
fn added_keys_stand_beside_the_others_and_tokens_go_on() {
    let (_folder, store) = romeo();
    changed(&store, issue(token("one", 0)));
    let stronger = keys(ScramHash::Sha256, 9);
    let new = keys(ScramHash::Sha512, 9);
    let added = Credentials { keys: vec![stronger.clone(), new.clone()], digest: None };
    wait(store.add_keys(&account("romeo"), keys(ScramHash::Sha256, 1), added)).unwrap();
    let login = wait(store.load_login(&account("romeo"))).unwrap().unwrap();
    assert!(login.credentials.keys.len() == 3);
    for keys in [keys(ScramHash::Sha1, 1), stronger, new] {
        assert!(login.credentials.keys.contains(&keys), "{:?}", keys.hash);
    }
    assert_eq!(names(&store), named("", "one"));
}

#[test]
fn keys_of_a_password_that_was_changed_meanwhile_are_not_added() {
    let (_folder, store) = romeo();
    let witness = keys(ScramHash::Sha256, 1);
    wait(store.set_credentials(&account("romeo"), credentials(2))).unwrap();
    let added = Credentials { keys: vec![keys(ScramHash::Sha512, 1)], digest: None };
    let result = wait(store.add_keys(&account("romeo"), witness, added));
    assert!(matches!(result, Err(StoreError::Conflict)), "{result:?}");
    let login = wait(store.load_login(&account("romeo"))).unwrap().unwrap();
    assert_eq!(seed(&login.credentials), 2);
}

#[test]
fn keys_that_no_login_could_use_are_not_added() {
    let (_folder, store) = romeo();
    let mut bad = keys(ScramHash::Sha512, 1);
    bad.stored_key.truncate(20);
    let added = Credentials { keys: vec![bad], digest: None };
    let result = wait(store.add_keys(&account("romeo"), keys(ScramHash::Sha256, 1), added));
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
}

/// What a count of all keys says.
fn counted(home: &Home) -> Vec<String> {
    home.table(
        "SELECT domain, hash, iterations, length(salt), count(*)
         FROM scram_key JOIN account ON account.id = account_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    )
}

#[test]
fn the_shapes_of_keys_are_what_a_count_of_them_would_say() {
    let (folder, store) = with_accounts(&["a", "b", "c"]);
    let check = |step: &str| {
        let mut shapes = Vec::new();
        for domain in ["example.net", "example.org"] {
            for KeyShape { hash, iterations, salt_bytes, accounts } in wait(store.key_shapes(domain)).unwrap()
            {
                let hash = hash.mechanism_name()["SCRAM-".len()..].to_lowercase();
                shapes.push(format!("{domain}|{hash}|{iterations}|{salt_bytes}|{accounts}"));
            }
        }
        shapes.sort();
        assert_eq!(shapes, counted(&folder), "{step}");
    };
    check("created");
    let batch = |names: &[&str]| {
        let one = |name: &&str| (jid(&format!("{name}@example.org")), credentials(7));
        names.iter().map(one).collect::<Vec<_>>()
    };
    wait(store.import_accounts(batch(&["x", "y"]), false)).unwrap();
    wait(store.import_accounts(batch(&["y", "z"]), true)).unwrap();
    check("imported");
    wait(store.set_credentials(&account("a"), credentials(2))).unwrap();
    check("a new password");
    let added = Credentials { keys: vec![keys(ScramHash::Sha256, 5)], digest: None };
    wait(store.add_keys(&account("b"), keys(ScramHash::Sha1, 2), added)).unwrap();
    check("added");
    wait(store.remove_account(&account("c"), nothing())).unwrap();
    wait(store.remove_account(&jid("x@example.org"), nothing())).unwrap();
    check("removed");
    let most = wait(store.key_shapes("example.org")).unwrap()[0];
    assert_eq!((most.accounts, most.iterations), (2, 4_103));
}

/// Neither what is asked, nor what is answered, nor an error shows a secret.
#[test]
fn no_secret_is_shown() {
    let (_folder, store) = romeo();
    const SECRET: &str = "the-secret-itself";
    let digest = DigestKey(Zeroizing::new(*b"the-secret-bytes"));
    let mut bad = keys(ScramHash::Sha512, 1);
    bad.salt.clear();
    let added = Credentials { keys: vec![bad], digest: Some(digest.clone()) };
    let given = TokenChange { issue: Some(token(SECRET, 0)), ..used(TokenSlot::Fresh, SECRET, 1) };
    changed(&store, issue(token(SECRET, 0)));
    let with_digest = Credentials { digest: Some(digest), ..credentials(1) };
    wait(store.add_keys(&account("romeo"), keys(ScramHash::Sha1, 1), with_digest)).unwrap();
    let login = wait(store.load_login(&account("romeo"))).unwrap().unwrap();
    // A row that breaks a rule of the table: the error is the database's own.
    let empty = FastToken { count: 1, ..token("", 0) };
    let shown = [
        format!("{given:?} {:?} {:?}", tokens(&store, CLIENT), login.credentials),
        format!("{:?}", wait(change(&store, CLIENT, used(TokenSlot::Current, "other", 1)))),
        format!("{:?}", wait(change(&store, CLIENT, issue(empty)))),
        format!(
            "{added:?} {:?}",
            wait(store.add_keys(&account("romeo"), keys(ScramHash::Sha1, 1), added.clone()))
        ),
    ];
    for text in shown {
        assert!(!text.contains(SECRET) && !text.contains("secret-bytes"), "{text}");
        // Bytes, as `Debug` of a list shows them.
        assert!(!text.contains("116, 104, 101") && !text.contains("255, 255"), "{text}");
    }
}
