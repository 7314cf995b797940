//! The account operations, through the trait.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use rjabberd_storage::{Account, Answer, IMPORT_MAX, ImportCounts, LIST_MAX, SqlStore, Store, StoreError};
use rjabberd_xmpp::sasl::{Credentials, ScramHash};
use support::{credentials, home, jid, keys, open, seed, wait};

fn seed_of(store: &SqlStore, account: &str) -> Option<u32> {
    wait(store.load_login(&jid(account))).unwrap().map(|login| seed(&login.credentials))
}

fn names(accounts: Vec<Account>) -> Vec<String> {
    accounts.into_iter().map(|account| account.jid.to_string()).collect()
}

#[test]
fn a_login_gets_the_keys_that_the_account_was_created_with() {
    let folder = home();
    let store = open(&folder);
    let all = [ScramHash::Sha512, ScramHash::Sha1, ScramHash::Sha256];
    let made = Credentials {
        keys: all.into_iter().zip(1..).map(|(hash, seed)| keys(hash, seed)).collect(),
        digest: None,
    };
    wait(store.create_account(&jid("romeo@example.net"), made.clone())).unwrap();
    let login = wait(store.load_login(&jid("romeo@example.net"))).unwrap().unwrap();
    assert!(!login.disabled);
    assert_eq!(login.credentials.keys.len(), 3);
    for keys in made.keys {
        assert!(login.credentials.keys.contains(&keys), "the keys for {:?} came back different", keys.hash);
    }
}

#[test]
fn an_unknown_account_has_no_login() {
    let folder = home();
    let store = open(&folder);
    assert!(wait(store.load_login(&jid("romeo@example.net"))).unwrap().is_none());
    assert!(!wait(store.account_exists(&jid("romeo@example.net"))).unwrap());
}

#[test]
fn an_account_is_created_once() {
    let folder = home();
    let store = open(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let second = wait(store.create_account(&jid("romeo@example.net"), credentials(2)));
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(1));
}

#[test]
fn of_two_who_register_a_name_at_once_one_gets_it() {
    let folder = home();
    let store = open(&folder);
    let answers: Vec<Answer<()>> =
        (0..20).map(|seed| store.create_account(&jid("romeo@example.net"), credentials(seed))).collect();
    let created: Vec<u32> =
        (0..).zip(answers).filter_map(|(seed, answer)| wait(answer).ok().map(|()| seed)).collect();
    assert_eq!(created.len(), 1);
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(created[0]));
}

#[test]
fn accounts_of_two_hosts_are_two_accounts() {
    let folder = home();
    let store = open(&folder);
    wait(store.create_account(&jid("romeo@a.example"), credentials(1))).unwrap();
    wait(store.create_account(&jid("romeo@b.example"), credentials(2))).unwrap();
    wait(store.remove_account(&jid("romeo@a.example"), Box::new(|_| ()))).unwrap();
    assert_eq!(seed_of(&store, "romeo@a.example"), None);
    assert_eq!(seed_of(&store, "romeo@b.example"), Some(2));
}

#[test]
fn a_new_password_leaves_no_key_of_the_old_one() {
    let folder = home();
    let store = open(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let only = Credentials { keys: vec![keys(ScramHash::Sha512, 2)], digest: None };
    wait(store.set_credentials(&jid("romeo@example.net"), only.clone())).unwrap();
    let login = wait(store.load_login(&jid("romeo@example.net"))).unwrap().unwrap();
    assert!(login.credentials == only);
}

#[test]
fn what_is_done_to_an_unknown_account_is_not_found() {
    let folder = home();
    let store = open(&folder);
    let nobody = jid("nobody@example.net");
    for result in [
        wait(store.set_credentials(&nobody, credentials(1))),
        wait(store.remove_account(&nobody, Box::new(|_| ()))).map(drop),
        wait(store.set_disabled(&nobody, true)),
    ] {
        assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    }
    assert!(!wait(store.account_exists(&nobody)).unwrap());
}

#[test]
fn a_disabled_account_exists_and_can_be_enabled_again() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    wait(store.set_disabled(&romeo, true)).unwrap();
    assert!(wait(store.load_login(&romeo)).unwrap().unwrap().disabled);
    assert!(wait(store.account_exists(&romeo)).unwrap());
    wait(store.set_disabled(&romeo, false)).unwrap();
    assert!(!wait(store.load_login(&romeo)).unwrap().unwrap().disabled);
}

#[test]
fn a_new_password_does_not_enable_a_disabled_account() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    wait(store.set_disabled(&romeo, true)).unwrap();
    wait(store.set_credentials(&romeo, credentials(2))).unwrap();
    assert!(wait(store.load_login(&romeo)).unwrap().unwrap().disabled);
}

#[test]
fn a_removed_account_leaves_no_row_and_its_successor_inherits_nothing() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    wait(store.set_disabled(&romeo, true)).unwrap();
    wait(store.remove_account(&romeo, Box::new(|_| ()))).unwrap();
    assert!(wait(store.load_login(&romeo)).unwrap().is_none());
    assert_eq!((folder.rows("account"), folder.rows("scram_key")), (0, 0));
    let only = Credentials { keys: vec![keys(ScramHash::Sha1, 2)], digest: None };
    wait(store.create_account(&romeo, only.clone())).unwrap();
    let login = wait(store.load_login(&romeo)).unwrap().unwrap();
    assert!(login.credentials == only);
    assert!(!login.disabled);
}

#[test]
fn pages_put_together_are_all_accounts_once_and_in_order() {
    let folder = home();
    let store = open(&folder);
    let all = ["a@b.example", "z@b.example", "a@c.example", "m@c.example", "z@c.example", "a@d.example"];
    for account in all.iter().rev() {
        wait(store.create_account(&jid(account), credentials(1))).unwrap();
    }
    for limit in 1..=7 {
        for (domain, expected) in [(None, &all[..]), (Some("c.example"), &all[2..5]), (Some("none"), &[][..])]
        {
            let mut found: Vec<String> = Vec::new();
            loop {
                let after = found.last().map(|last| jid(last));
                let page = names(wait(store.list_accounts(domain, after.as_ref(), limit)).unwrap());
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                found.extend(page);
            }
            assert_eq!(found, expected, "{domain:?} in pages of {limit}");
        }
    }
}

#[test]
fn a_page_may_start_behind_an_account_of_another_host() {
    let folder = home();
    let store = open(&folder);
    wait(store.create_account(&jid("m@c.example"), credentials(1))).unwrap();
    for (after, found) in [("z@b.example", 1), ("a@c.example", 1), ("m@c.example", 0), ("a@d.example", 0)] {
        let page = wait(store.list_accounts(Some("c.example"), Some(&jid(after)), 10)).unwrap();
        assert_eq!(page.len(), found, "behind {after}");
    }
}

#[test]
fn a_list_shows_what_administration_needs() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    wait(store.set_disabled(&romeo, true)).unwrap();
    let accounts = wait(store.list_accounts(None, None, LIST_MAX)).unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].jid, romeo);
    assert!(accounts[0].disabled);
    assert!(accounts[0].created_unix_s > 1_700_000_000);
    assert!(accounts[0].credentials_set_unix_s >= accounts[0].created_unix_s);
}

#[test]
fn a_page_beyond_the_limit_is_refused() {
    let folder = home();
    let store = open(&folder);
    let result = wait(store.list_accounts(None, None, LIST_MAX + 1));
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
}

#[test]
fn an_import_creates_replaces_or_leaves_alone() {
    let folder = home();
    let store = open(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let batch = vec![(jid("romeo@example.net"), credentials(2)), (jid("juliet@example.net"), credentials(3))];
    let counts = wait(store.import_accounts(batch.clone(), false)).unwrap();
    assert_eq!(counts, ImportCounts { created: 1, replaced: 0, skipped: 1 });
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(1));
    let counts = wait(store.import_accounts(batch, true)).unwrap();
    assert_eq!(counts, ImportCounts { created: 0, replaced: 2, skipped: 0 });
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(2));
    assert_eq!(seed_of(&store, "juliet@example.net"), Some(3));
}

#[test]
fn an_import_with_one_bad_account_creates_none() {
    let folder = home();
    let store = open(&folder);
    let batch =
        vec![(jid("romeo@example.net"), credentials(1)), (jid("juliet@example.net"), Credentials::default())];
    let result = wait(store.import_accounts(batch, true));
    let Err(StoreError::Invalid(reason)) = result else { panic!("{result:?}") };
    assert!(reason.contains("juliet@example.net"), "{reason}");
    assert!(!wait(store.account_exists(&jid("romeo@example.net"))).unwrap());
}

#[test]
fn the_biggest_import_is_taken_and_a_bigger_one_refused() {
    let folder = home();
    let store = open(&folder);
    let one = |number: usize| (jid(&format!("u{number}@example.net")), credentials(1));
    let counts = wait(store.import_accounts((0..IMPORT_MAX).map(one).collect(), false)).unwrap();
    assert_eq!(counts.created, IMPORT_MAX);
    let result = wait(store.import_accounts((0..=IMPORT_MAX).map(one).collect(), false));
    assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
}

#[test]
fn keys_that_no_login_could_use_do_not_replace_good_ones() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    let good = keys(ScramHash::Sha256, 2);
    let mut bad = vec![Vec::new(), vec![good.clone(), good.clone()]];
    for spoil in [
        (|keys| keys.iterations = 0) as fn(&mut rjabberd_xmpp::sasl::ScramKeys),
        |keys| keys.salt.clear(),
        |keys| keys.stored_key.truncate(20),
        |keys| keys.server_key.push(0),
        |keys| keys.hash = ScramHash::Sha1,
    ] {
        let mut keys = good.clone();
        spoil(&mut keys);
        bad.push(vec![keys]);
    }
    for keys in bad {
        let result = wait(store.set_credentials(&romeo, Credentials { keys, digest: None }));
        assert!(matches!(result, Err(StoreError::Invalid(_))), "{result:?}");
    }
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(1));
}

#[test]
fn an_address_without_a_local_part_is_no_account() {
    let folder = home();
    let store = open(&folder);
    let host = jid("example.net");
    let created = wait(store.create_account(&host, credentials(1)));
    assert!(matches!(created, Err(StoreError::Invalid(_))), "{created:?}");
    assert!(wait(store.load_login(&host)).unwrap().is_none());
    assert!(!wait(store.account_exists(&host)).unwrap());
    let removed = wait(store.remove_account(&host, Box::new(|_| ())));
    assert!(matches!(removed, Err(StoreError::NotFound)), "{removed:?}");
}

#[test]
fn the_servers_secret_is_made_once_for_each_store() {
    let folder = home();
    let first = wait(open(&folder).server_secret()).unwrap();
    let again = wait(open(&folder).server_secret()).unwrap();
    let other = wait(open(&home()).server_secret()).unwrap();
    assert_eq!(first.len(), 32);
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn a_change_is_done_even_if_nobody_waits_for_its_answer() {
    let folder = home();
    let store = open(&folder);
    drop(store.create_account(&jid("romeo@example.net"), credentials(1)));
    wait(store.flush()).unwrap();
    assert_eq!(seed_of(&store, "romeo@example.net"), Some(1));
}

#[test]
fn closing_does_what_is_queued_and_takes_nothing_more() {
    let folder = home();
    let store = open(&folder);
    let queued: Vec<Answer<()>> = (0..100)
        .map(|number| store.create_account(&jid(&format!("u{number}@example.net")), credentials(1)))
        .collect();
    store.close();
    store.close();
    for answer in queued {
        wait(answer).unwrap();
    }
    let change = wait(store.remove_account(&jid("u1@example.net"), Box::new(|_| ())));
    assert!(matches!(change, Err(StoreError::Unavailable(_))), "{change:?}");
    let question = wait(store.account_exists(&jid("u1@example.net")));
    assert!(matches!(question, Err(StoreError::Unavailable(_))), "{question:?}");
    assert_eq!(wait(open(&folder).list_accounts(None, None, 1_000)).unwrap().len(), 100);
}

#[test]
fn an_answer_needs_no_runtime() {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let folder = home();
    let store = open(&folder);
    let mut answer = pin!(store.create_account(&jid("romeo@example.net"), credentials(1)));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => break result.unwrap(),
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn what_was_done_is_counted() {
    let folder = home();
    let store = open(&folder);
    let romeo = jid("romeo@example.net");
    wait(store.create_account(&romeo, credentials(1))).unwrap();
    wait(store.create_account(&romeo, credentials(1))).unwrap_err();
    wait(store.load_login(&romeo)).unwrap();
    store.close();
    let counts = store.metrics().snapshot();
    assert_eq!((counts.writes.operations, counts.writes.failures, counts.reads.operations), (2, 0, 1));
    assert_eq!((counts.commits, counts.group_sum, counts.group_max), (2, 2, 1));
    assert_eq!((counts.writes.depth, counts.writes.depth_max), (0, 1));
    assert!(counts.writes.busy_us > 0);
}
