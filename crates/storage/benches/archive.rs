//! What a page of a big archive costs: `cargo bench -p rjabberd_storage --bench archive`. One account has a million
//! messages with a thousand contacts; another has a few among them. Figures are in `docs/performance.md`. The folder is
//! made under `TMPDIR`: put it on the disk that is meant.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints its figures")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rjabberd_storage::{
    ArchiveAppend, ArchiveId, ArchivePlace, ArchiveQuery, ArchiveStore, DATABASE_FILE, SqliteOptions,
    SqliteStore, Store,
};
use rjabberd_xmpp::address::BareJid;
use rjabberd_xmpp::sasl::{Credentials, ScramHash, ScramKeys};
use rjabberd_xmpp::{FullJid, Jid};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

const MESSAGES: u64 = 1_000_000;
const CONTACTS: u64 = 1_000;
/// On their way into the store at a time.
const IN_FLIGHT: usize = 1_000;
/// Messages of a page, and how often each kind of page is asked for.
const PAGE: usize = 50;
const ASKED: u64 = 500;
/// The first message came then, and each a second after the one before.
const FIRST_UNIX_S: u64 = 1_700_000_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
    for name in ["juliet", "nurse"] {
        runtime.block_on(store.create_account(&account(name), credentials())).unwrap();
    }
    let begun = Instant::now();
    fill(&runtime, &store);
    let (spent, commits) = (begun.elapsed(), store.metrics().snapshot().commits);
    println!(
        "{MESSAGES} messages of {} bytes in {:.1} s: {:.0} a second, {commits} commits, {:.0} bytes of file each",
        text(0).len(),
        spent.as_secs_f64(),
        MESSAGES as f64 / spent.as_secs_f64(),
        size(&folder) / MESSAGES as f64,
    );
    println!("{:<44} {:>8} {:>8} {:>8} {:>8}", "a page of 50, ms", "median", "99 %", "worst", "messages");
    ask(&runtime, &store);
}

fn size(folder: &tempfile::TempDir) -> f64 {
    std::fs::metadata(folder.path().join(DATABASE_FILE)).unwrap().len() as f64
}

fn ask(runtime: &Runtime, store: &SqliteStore) {
    let page = || ArchiveQuery { messages_max: PAGE, bytes_max: usize::MAX, ..ArchiveQuery::default() };
    // Spread over the archive, and never the same twice.
    let any = |n: u64| (n * 7_919 * 101) % MESSAGES;
    let time = |n: u64| i64::try_from((FIRST_UNIX_S + any(n)) * 1_000_000).unwrap();
    let with = |n: u64| Some(Jid::from(contact(n % CONTACTS).to_bare()));
    let last = |query| ArchiveQuery { backwards: true, ..query };
    let from = |n: u64, query| ArchiveQuery { start_unix_us: Some(time(n)), ..query };
    report(runtime, store, "first", |_| page());
    report(runtime, store, "last", |_| last(page()));
    report(runtime, store, "behind any message", |n| ArchiveQuery { after: vec![id(any(n))], ..page() });
    report(runtime, store, "before any message", |n| ArchiveQuery {
        before: vec![id(any(n))],
        ..last(page())
    });
    report(runtime, store, "from any time", |n| from(n, page()));
    report(runtime, store, "with any contact, first", |n| ArchiveQuery { with: with(n), ..page() });
    report(runtime, store, "with any contact, last", |n| last(ArchiveQuery { with: with(n), ..page() }));
    report(runtime, store, "with any contact, from any time", |n| {
        from(n, ArchiveQuery { with: with(n), ..page() })
    });
    report(runtime, store, "with one resource of any contact, last", |n| {
        last(ArchiveQuery { with: Some(contact(n % CONTACTS).into()), ..page() })
    });
    report(runtime, store, "with nobody that there is", |n| ArchiveQuery {
        with: Some(account(&format!("stranger{n}")).into()),
        ..page()
    });
    report(runtime, store, "by 50 ids", |n| ArchiveQuery {
        ids: Some((0..50).map(|more| id(any(n + more * 977))).collect()),
        ..page()
    });
    report(runtime, store, "nothing but the count of a contact", |n| ArchiveQuery {
        with: with(n),
        messages_max: 0,
        count: true,
        ..page()
    });
}

fn report(runtime: &Runtime, store: &SqliteStore, name: &str, query: impl Fn(u64) -> ArchiveQuery) {
    let mut times: Vec<Duration> = Vec::new();
    let mut messages = 0;
    for n in 0..ASKED {
        let query = query(n);
        let begun = Instant::now();
        let page = runtime.block_on(store.query_archive(&account("juliet"), query)).unwrap();
        times.push(begun.elapsed());
        messages = messages.max(page.messages.len());
    }
    times.sort_unstable();
    let ms = |index: usize| times[index].as_secs_f64() * 1e3;
    let last = times.len() - 1;
    println!("{name:<44} {:>8.2} {:>8.2} {:>8.2} {messages:>8}", ms(last / 2), ms(last * 99 / 100), ms(last));
}

fn fill(runtime: &Runtime, store: &SqliteStore) {
    runtime.block_on(async {
        let mut open = FuturesUnordered::new();
        for number in 0..MESSAGES {
            if open.len() == IN_FLIGHT {
                let done: Option<Result<(), _>> = open.next().await;
                done.unwrap().unwrap();
            }
            open.push(store.append_archive(message(number), Box::new(|_| ())));
        }
        while let Some(done) = open.next().await {
            done.unwrap();
        }
    });
}

/// Every hundredth is in the archive of the nurse too.
fn message(number: u64) -> ArchiveAppend {
    let contact = contact(number % CONTACTS);
    let place = |name: &str| ArchivePlace {
        account: account(name),
        id: id(number),
        contact: contact.clone().into(),
        if_listed: false,
    };
    let mut places = vec![place("juliet")];
    places.extend(number.is_multiple_of(100).then(|| place("nurse")));
    let came_unix_us = i64::try_from((FIRST_UNIX_S + number) * 1_000_000).unwrap();
    ArchiveAppend { came_unix_us, stanza: text(number), places }
}

/// Time in front and chance behind it, as the server makes them.
fn id(number: u64) -> ArchiveId {
    let chance = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let time = u128::from(FIRST_UNIX_S + number) * 1_000;
    ArchiveId(((time << 80) | u128::from(chance)).to_be_bytes())
}

fn text(number: u64) -> Bytes {
    format!(
        "<message to=\"juliet@example.net\" from=\"{}\" id=\"{number:016x}\" type=\"chat\" xml:lang=\"en\"><body>But \
         soft, what light through yonder window breaks? It is the east, and Juliet is the sun.</body><request \
         xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>",
        contact(number % CONTACTS)
    )
    .into()
}

fn contact(number: u64) -> FullJid {
    FullJid::new(&format!("contact{number}@example.net/orchard")).unwrap()
}

fn account(name: &str) -> BareJid {
    BareJid::new(&format!("{name}@example.net")).unwrap()
}

fn credentials() -> Credentials {
    let keys = ScramKeys {
        hash: ScramHash::Sha256,
        iterations: 10_000,
        salt: vec![1; 16],
        stored_key: Zeroizing::new(vec![2; 32]),
        server_key: Zeroizing::new(vec![3; 32]),
    };
    Credentials { keys: vec![keys], digest: None }
}
