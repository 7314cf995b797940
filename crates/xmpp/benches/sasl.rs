//! What the server's steps of a SCRAM login cost, the store aside; deriving keys from a password is not among them.

#![expect(missing_docs, reason = "criterion's macro makes a function")]

use std::sync::LazyLock;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::{
    Credentials, Exchange, FakeSalts, KeyPlan, LookUp, Mechanism, Offered, Outcome, ScramHash, Setting, begin,
};

const NONCE: &str = "a-nonce-of-the-server-that-nobody-has-guessed";

struct Login {
    hash: ScramHash,
    credentials: Credentials,
    fakes: FakeSalts,
    client_first: String,
    client_final: String,
}

impl Login {
    /// Plays one login with an independent client, whose messages are then said again and again.
    fn new(hash: ScramHash) -> Login {
        let plan = KeyPlan { hashes: vec![hash], iterations: 4096, digest: false };
        let romeo = BareJid::new("romeo@example.net").expect("an address");
        let credentials = Credentials::derive(&romeo, "secret", &plan, || [7; 16]).expect("a good password");
        let fakes = FakeSalts::new(b"secret", plan);
        let (client, client_first) = scram::ScramClient::new("romeo", "secret", None).client_first();
        let mut login = Login { hash, credentials, fakes, client_first, client_final: String::new() };
        let (server_first, _) = login.challenge(login.begin());
        let server_first = String::from_utf8(server_first).expect("text");
        login.client_final = client.handle_server_first(&server_first).expect("a challenge").client_final().1;
        login
    }

    fn setting(&self) -> Setting<'_> {
        static OFFERED: LazyLock<Offered> = LazyLock::new(Offered::default);
        Setting {
            domain: "example.net",
            channel: None,
            offered: &OFFERED,
            fakes: &self.fakes,
            once: "once",
            client: None,
            count: None,
        }
    }

    fn begin(&self) -> LookUp {
        match begin(Mechanism::Scram(self.hash), &self.setting(), Some(self.client_first.as_bytes())) {
            Outcome::LookUp(look_up) => look_up,
            other => panic!("{other:?}"),
        }
    }

    fn challenge(&self, look_up: LookUp) -> (Vec<u8>, Exchange) {
        match look_up.answer(Some(&self.credentials), &self.fakes, NONCE) {
            Outcome::Challenge(text, exchange) => (text, exchange),
            other => panic!("{other:?}"),
        }
    }

    fn finish(&self, exchange: Exchange) {
        match exchange.respond(&self.setting(), self.client_final.as_bytes()) {
            Outcome::Success { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn sasl(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("SCRAM-SHA-256");
    let login = Login::new(ScramHash::Sha256);
    group.bench_function("first message to challenge", |bencher| {
        bencher.iter(|| login.challenge(login.begin()));
    });
    group.bench_function("final message to success", |bencher| {
        bencher.iter_batched(
            || login.challenge(login.begin()).1,
            |exchange| login.finish(exchange),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, sasl);
criterion_main!(benches);
