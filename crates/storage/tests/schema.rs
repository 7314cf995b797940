//! Databases that were not made just now: of each released schema, of a newer version, of others, and no database.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use rjabberd_storage::{
    ArchiveOtherwise, ArchiveQuery, ArchiveStore, DATABASE_FILE, OfflineLimits, OpenError, PepAffiliation,
    PepChange, PepDeed, PepExpect, PepLimits, PepPick, PepStamp, PepStore, Profile, PushStore, RosterVersion,
    SqliteOptions, SqliteStore, Store,
};
use rjabberd_xmpp::roster::Half;
use rjabberd_xmpp::sasl::{ClientId, KeyShape, ScramHash};
use rusqlite::Connection;
use support::{credentials, jid, nothing, open_file, profile, seed, wait};

fn refusal(folder: &tempfile::TempDir) -> OpenError {
    let error = SqliteStore::open(folder.path(), SqliteOptions::default()).err().unwrap();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

fn restore(schema: u32) -> (tempfile::TempDir, SqliteStore) {
    let fixture = format!("{}/tests/fixtures/schema-{schema:04}.sql", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let database = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    database.execute_batch(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    drop(database);
    let store = open_file(&folder);
    (folder, store)
}

/// Each fixture holds romeo with keys of seed 1, and juliet, disabled, with keys of seed 2.
#[test]
fn the_accounts_of_each_released_schema_are_there_after_the_upgrade() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut count = 0;
    for fixture in std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()) {
        let folder = tempfile::tempdir().unwrap();
        let database = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
        database.execute_batch(&std::fs::read_to_string(&fixture).unwrap()).unwrap();
        drop(database);
        let store = open_file(&folder);
        for (account, expected, disabled) in
            [("romeo@example.net", 1, false), ("juliet@example.org", 2, true)]
        {
            let mut login = wait(store.load_login(&jid(account))).unwrap().unwrap();
            // Of DIGEST-MD5, which older schemas do not have.
            login.credentials.digest = None;
            assert_eq!(
                (seed(&login.credentials), login.disabled),
                (expected, disabled),
                "{fixture:?}: {account}"
            );
        }
        assert_eq!(*wait(store.server_secret()).unwrap(), [7; 32], "{fixture:?}");
        wait(store.create_account(&jid("new@example.net"), credentials(3))).unwrap();
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn a_database_of_schema_1_has_empty_rosters_after_the_upgrade_and_takes_what_is_new() {
    let (folder, store) = restore(1);
    let version: u32 = Connection::open(folder.path().join(DATABASE_FILE))
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 6);
    assert_eq!(*profile(&store, "romeo"), Profile { version: version_of(1, 0), ..Profile::default() });
    let limits = OfflineLimits { messages_max: 1, bytes_max: 10 };
    let taken = store.append_offline(&jid("romeo@example.net"), "text".into(), 0, limits, nothing());
    wait(taken).unwrap();
    assert!(profile(&store, "romeo").has_offline);
}

fn version_of(account: i64, changes: i64) -> RosterVersion {
    RosterVersion { account, changes }
}

/// Romeo and Juliet see each other; the nurse asks Romeo; two messages of 17 bytes wait for him.
#[test]
fn what_a_database_of_schema_2_holds_is_there() {
    let (_folder, store) = restore(2);
    let (romeo, juliet) = (jid("romeo@example.net"), jid("juliet@example.org"));
    let found = profile(&store, "romeo");
    assert_eq!(found.version, version_of(1, 3));
    let [listed, asking] = &found.items[..] else { panic!("{found:?}") };
    assert_eq!((&listed.jid, listed.name.as_deref(), listed.listed), (&juliet, Some("Juliet"), true));
    assert_eq!(listed.groups, ["Capulet", "The ball"]);
    assert_eq!((listed.state.to, listed.state.from), (Half::Granted, Half::Granted));
    assert_eq!((asking.state.from, asking.listed), (Half::Pending, false));
    assert_eq!(found.requests, [&b"<presence type='subscribe'/>"[..]]);
    assert_eq!((found.avatar, found.has_offline), (Some([0; 20]), true));
    let waiting = wait(store.load_offline(&romeo, 0, 1_000)).unwrap();
    assert_eq!(waiting.iter().map(|message| message.number).collect::<Vec<_>>(), [1, 4]);
    wait(store.delete_offline(&romeo, 4, nothing())).unwrap();
    assert!(!profile(&store, "romeo").has_offline);
    let bookmarks = wait(store.load_private(&romeo, "storage", "storage:bookmarks")).unwrap();
    assert_eq!(bookmarks.as_deref(), Some("<storage xmlns='storage:bookmarks'/>"));
    assert_eq!(wait(store.load_vcard(&romeo)).unwrap().as_deref(), Some("<vCard xmlns='vcard-temp'/>"));
    let blocks = wait(store.load_blocks()).unwrap();
    assert_eq!(blocks, [(romeo, vec![jid("tybalt@example.org").into()])]);
    let activity = wait(store.load_activity(&juliet)).unwrap().unwrap();
    assert_eq!((activity.left_unix_s, activity.status.as_deref()), (1_790_000_002, Some("asleep")));
}

/// Romeo has a token of each kind for client 1.
#[test]
fn what_a_database_of_schema_3_holds_is_there() {
    let (_folder, store) = restore(3);
    let romeo = jid("romeo@example.net");
    let tokens = wait(store.load_tokens(&romeo, ClientId(1))).unwrap().unwrap();
    let (current, fresh) = (tokens.current.unwrap(), tokens.fresh.unwrap());
    assert_eq!((current.secret.as_str(), current.count, current.issued_unix_s), ("old", 3, 1_790_000_000));
    assert_eq!((fresh.secret.as_str(), fresh.count, fresh.expires_unix_s), ("new", 0, 1_791_900_400));
    let login = wait(store.load_login(&romeo)).unwrap().unwrap();
    assert_eq!(*login.credentials.digest.unwrap().0, [9; 16]);
}

/// Romeo has two messages with Juliet in his archive, and has said what he wants archived.
#[test]
fn what_a_database_of_schema_4_holds_is_there() {
    let (_folder, store) = restore(4);
    let romeo = jid("romeo@example.net");
    let query = ArchiveQuery { messages_max: 10, bytes_max: 1_000, count: true, ..ArchiveQuery::default() };
    let page = wait(store.query_archive(&romeo, query)).unwrap();
    let found: Vec<_> =
        page.messages.iter().map(|message| (message.id.0[0], message.stamp_unix_us)).collect();
    assert_eq!(found, [(1, 1_790_000_000_000_004), (2, 1_790_000_000_000_005)]);
    assert_eq!((page.messages[0].stanza.as_ref(), page.count), (&b"<message/>"[..], Some(2)));
    let [(account, prefs)] = &wait(store.load_archive_prefs()).unwrap()[..] else {
        panic!("one has said so")
    };
    assert_eq!((account, prefs.otherwise), (&romeo, ArchiveOtherwise::Roster));
    let of = |name: &str| vec![jid(&format!("{name}@example.org")).into()];
    assert_eq!((&prefs.always, &prefs.never), (&of("juliet"), &of("tybalt")));
}

/// Romeo has a node with an item of 26 bytes, and Juliet is a member and has subscribed.
#[test]
fn what_a_database_of_schema_5_holds_is_there() {
    let (_folder, store) = restore(5);
    let romeo = jid("romeo@example.net");
    let pick = PepPick::After(None, 10);
    let found = wait(store.load_pep_items(&romeo, "urn:x", pick, 1_000)).unwrap().unwrap();
    assert_eq!(found.node.stamp, PepStamp { node: 1, changes: 2, items: 1 });
    assert_eq!(found.node.affiliations, [(jid("juliet@example.org"), PepAffiliation::Member)]);
    assert_eq!(found.node.subscriptions[0].as_str(), "juliet@example.org/balcony");
    let [item] = &found.items[..] else { panic!("{found:?}") };
    assert_eq!((item.id.as_str(), item.published_unix_s), ("current", 1_790_000_003));
    let limits = PepLimits { nodes_max: 1, bytes_max: 0, entities_max: 1 };
    let purge = PepChange { node: "urn:x".to_owned(), expects: PepExpect::Any, deed: PepDeed::Purge };
    wait(store.change_pep(&romeo, vec![purge], limits, nothing())).unwrap();
}

/// Romeo has one push registration.
#[test]
fn what_a_database_of_schema_6_holds_is_there() {
    let (_folder, store) = restore(6);
    let [found] = &wait(store.load_push(&jid("romeo@example.net"))).unwrap()[..] else { panic!("one") };
    assert_eq!((found.service.as_str(), found.node.as_str()), ("push.example", "node"));
    assert_eq!(found.options, "<x xmlns='jabber:x:data'/>");
}

#[test]
fn the_shapes_of_the_keys_of_each_older_schema_are_counted() {
    for schema in 1..=6 {
        let (_folder, store) = restore(schema);
        let shape = |hash: ScramHash, seed: u32| KeyShape {
            hash,
            iterations: 4_096 + seed,
            salt_bytes: hash.bytes(),
            accounts: 1,
        };
        for (domain, seed) in [("example.net", 1), ("example.org", 2)] {
            let expected = [shape(ScramHash::Sha1, seed), shape(ScramHash::Sha256, seed)];
            assert_eq!(wait(store.key_shapes(domain)).unwrap(), expected, "schema {schema}");
        }
    }
}

#[test]
fn a_schema_newer_than_the_binary_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_file(&folder));
    let path = folder.path().join(DATABASE_FILE);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("has schema 99"), "{error}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_database_of_another_program_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE account (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE_FILE);
    std::fs::write(&path, "no database, but longer than the header that one would have".repeat(20)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert_eq!(before, std::fs::read(&path).unwrap());
}

#[test]
fn a_folder_in_place_of_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(DATABASE_FILE)).unwrap();
    let error = refusal(&folder);
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[test]
fn a_store_in_no_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(&folder.path().join("none"), SqliteOptions::default()).err().unwrap();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
}

#[test]
fn a_damaged_database_is_an_error_and_not_an_unknown_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_file(&folder);
    wait(store.create_account(&jid("romeo@example.net"), credentials(1))).unwrap();
    let damage = Connection::open(folder.path().join(DATABASE_FILE)).unwrap();
    damage.execute_batch("DELETE FROM scram_key").unwrap();
    let result = wait(store.load_login(&jid("romeo@example.net"))).map(|_| ());
    assert!(matches!(result, Err(rjabberd_storage::StoreError::Corrupt(_))), "{result:?}");
}
