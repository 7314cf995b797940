//! What one stanza costs on its way in: framing, checking, parsing.

#![expect(missing_docs, reason = "criterion's macro makes a function")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rjabberd_xml::{Context, Framer, Limits, check, check_element, read_element};

/// A chat message of 245 bytes as clients write it: body, chat state, receipt request.
const CHAT: &str = "<message to='juliet@example.net/balcony' id='c7f3a1e0-52' type='chat'>\
    <body>But soft, what light through yonder window breaks? It is the east.</body>\
    <active xmlns='http://jabber.org/protocol/chatstates'/>\
    <request xmlns='urn:xmpp:receipts'/></message>";

fn stanza(criterion: &mut Criterion) {
    let context = Context::canonical();
    let mut group = criterion.benchmark_group("chat message");
    group.throughput(Throughput::Bytes(CHAT.len() as u64));
    group.bench_function("frame", |bencher| {
        let mut framer = Framer::new();
        framer.next(&Limits::AUTHENTICATED, b"<stream>").expect("a header");
        bencher.iter(|| framer.next(&Limits::AUTHENTICATED, black_box(CHAT.as_bytes())));
    });
    // The frame's own copy is part of what a stanza costs.
    let frame = || Bytes::copy_from_slice(black_box(CHAT.as_bytes()));
    assert!(check(&context, &frame()).is_some(), "the checker is sure of this message");
    group.bench_function("check", |bencher| bencher.iter(|| check_element(&context, frame())));
    group.bench_function("parse", |bencher| bencher.iter(|| read_element(&context, frame())));
    group.finish();
}

criterion_group!(benches, stanza);
criterion_main!(benches);
