//! Every mechanism against every client: nothing panics, and nobody gets in who does not know the secret.
//!
//! The first bytes choose mechanism, channel, offer and what the store knows; the rest is what the client says, one message
//! a line. A client may be of two kinds: one that only says the bytes, and one that knows the secret ([`knowing`]) and puts
//! the right proof to whatever it says: such a one gets in only if all else fits too.

mod knowing;

use std::sync::LazyLock;

use rjabberd_xmpp::BareJid;
use rjabberd_xmpp::sasl::{
    BindingType, ClientId, Credentials, Evidence, FakeSalts, FastToken, KeyPlan, Mechanism, Offered, Outcome,
    ScramHash, SecureChannel, Setting, TlsVersion, TokenMechanism, Tokens, Wanted, begin,
};
use zeroize::Zeroizing;

const DOMAIN: &str = "example.net";
const SERVER_NONCE: &str = "a-nonce-of-the-server";
const PASSWORD: &str = "what nobody guesses, ever";
const TOKENS: [&str; 2] = ["a token that nobody guesses", "another token that nobody guesses"];
const EXPORTER: [u8; 32] = [7; 32];
const END_POINT: [u8; 48] = [9; 48];
const NOW: i64 = 1_700_000_000;
const COUNT: u32 = 5;
const HASHES: [ScramHash; 3] = [ScramHash::Sha1, ScramHash::Sha256, ScramHash::Sha512];

static PLAN: LazyLock<KeyPlan> =
    LazyLock::new(|| KeyPlan { hashes: HASHES.to_vec(), iterations: 1, digest: true });
static FAKES: LazyLock<FakeSalts> = LazyLock::new(|| FakeSalts::new(b"the server's secret", PLAN.clone()));
static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| {
    let romeo = BareJid::new("romeo@example.net").expect("an address");
    Credentials::derive(&romeo, PASSWORD, &PLAN, || [3; 16]).expect("a good password")
});

/// Plays one conversation.
pub fn sasl(data: &[u8]) {
    let Some((&[mechanism, flags, more], said)) = data.split_first_chunk::<3>() else { return };
    let scene = Scene::new(mechanism, flags, more);
    let messages: Vec<&[u8]> = said.split(|byte| *byte == b'\n').collect();
    if flags & 0x80 == 0 {
        scene.play(&messages);
    } else {
        knowing::play(&scene, &messages);
    }
}

/// What the client meets.
struct Scene {
    mechanism: Mechanism,
    has_initial: bool,
    channel: Option<SecureChannel>,
    offered: Offered,
    credentials: Option<Credentials>,
    tokens: Option<Tokens>,
    client: Option<ClientId>,
    count: Option<u32>,
}

impl Scene {
    fn new(mechanism: u8, flags: u8, more: u8) -> Scene {
        let accounts = ["romeo@example.net", "romeo@example.com", "juliet@example.net"];
        let accounts = accounts[..usize::from(more >> 6)].iter();
        let channel = (flags & 2 != 0).then(|| SecureChannel {
            version: if flags & 4 == 0 { TlsVersion::V13 } else { TlsVersion::V12 },
            exporter: (flags & 4 == 0).then_some(EXPORTER),
            end_point: Some(END_POINT[..].into()),
            accounts: accounts.map(|account| BareJid::new(account).expect("an address")).collect(),
        });
        let plain = HASHES.map(Mechanism::Scram);
        let bindings = [BindingType::EndPoint, BindingType::Exporter];
        let offered = match flags >> 3 & 3 {
            0 => Offered::new(plain.to_vec(), Vec::new()),
            offer => Offered::new(
                [plain, HASHES.map(Mechanism::ScramPlus)].concat(),
                bindings[..usize::from(offer) - 1].to_vec(),
            ),
        };
        let credentials = match flags >> 5 & 3 {
            0 => None,
            1 => Some(Credentials::default()),
            2 => Some(Credentials { keys: CREDENTIALS.keys[..1].to_vec(), digest: None }),
            _ => Some(CREDENTIALS.clone()),
        };
        Scene {
            mechanism: mechanisms()[usize::from(mechanism) % mechanisms().len()],
            has_initial: flags & 1 != 0,
            channel,
            offered,
            credentials,
            tokens: tokens(more),
            client: (more & 0x20 == 0).then_some(ClientId(1)),
            count: (more & 0x10 != 0).then(|| u32::from(more & 0xf)),
        }
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            domain: DOMAIN,
            channel: self.channel.as_ref(),
            offered: &self.offered,
            fakes: &FAKES,
            once: "once",
            client: self.client,
            count: self.count,
        }
    }

    /// A client that knows nothing says these messages.
    fn play(&self, messages: &[&[u8]]) {
        let mut messages = messages.iter();
        let initial = if self.has_initial { messages.next() } else { None };
        let mut outcome = self.answered(begin(self.mechanism, &self.setting(), initial.copied()));
        while let Outcome::Challenge(challenge, exchange) = outcome {
            assert!(challenge.iter().all(|byte| byte.is_ascii_graphic()), "{challenge:?}");
            let Some(message) = messages.next() else { return };
            outcome = self.answered(exchange.respond(&self.setting(), message));
        }
        self.check_end(&outcome);
    }

    /// Answers what the exchange asks of the outside, until it asks nothing.
    fn answered(&self, mut outcome: Outcome) -> Outcome {
        loop {
            outcome = match outcome {
                Outcome::LookUp(look_up) => {
                    assert!(!look_up.username().is_empty() && look_up.username().len() <= 1023);
                    match look_up.wants() {
                        Wanted::Credentials => {
                            look_up.answer(self.credentials.as_ref(), &FAKES, SERVER_NONCE)
                        }
                        Wanted::Tokens => look_up.answer_tokens(self.tokens.as_ref(), NOW),
                    }
                }
                Outcome::Check(check, checking) => checking.answer(check.run(|| [4; 16])),
                other => return other,
            }
        }
    }

    /// Who knows nothing gets in as a guest, or by a certificate.
    fn check_end(&self, outcome: &Outcome) {
        let Outcome::Success { username, evidence, .. } = outcome else { return };
        match (self.mechanism, evidence) {
            (Mechanism::Anonymous, Evidence::Nothing) => assert_eq!(username.len(), 36),
            (Mechanism::External, Evidence::Other) => {
                let accounts = self.channel.as_ref().map(|channel| &channel.accounts[..]).unwrap_or_default();
                let account = BareJid::new(&format!("{username}@{DOMAIN}")).expect("an account");
                assert!(accounts.contains(&account) && self.credentials.is_some());
            }
            (mechanism, _) => panic!("{username} gets in by {mechanism:?}"),
        }
    }

    /// What this channel has for a type of binding, if the client was offered it.
    fn bound_data(&self, binding: &str) -> Option<&'static [u8]> {
        let channel = self.channel.as_ref()?;
        match binding {
            "tls-exporter" if channel.version == TlsVersion::V13 => Some(&EXPORTER),
            "tls-server-end-point" => Some(&END_POINT),
            _ => None,
        }
    }
}

fn mechanisms() -> Vec<Mechanism> {
    let scram = HASHES.into_iter().flat_map(|hash| [Mechanism::Scram(hash), Mechanism::ScramPlus(hash)]);
    let tokens = TokenMechanism::ALL.into_iter().map(Mechanism::Token);
    let others = [Mechanism::Plain, Mechanism::External, Mechanism::Anonymous, Mechanism::DigestMd5];
    others.into_iter().chain(scram).chain(tokens).collect()
}

/// Tokens of the account's client: for which mechanisms, and which of them have ended.
fn tokens(more: u8) -> Option<Tokens> {
    let token = |secret: &str, kind: u8| FastToken {
        mechanism: TokenMechanism::ALL[usize::from(kind % 3)],
        secret: Zeroizing::new(secret.to_owned()),
        issued_unix_s: 0,
        expires_unix_s: if kind & 4 == 0 { NOW + 1 } else { NOW },
        count: COUNT,
    };
    match more & 0x0f {
        0 => None,
        1 => Some(Tokens::default()),
        kind => Some(Tokens {
            current: Some(token(TOKENS[0], kind)),
            fresh: (kind & 8 != 0).then(|| token(TOKENS[1], kind.wrapping_add(1))),
        }),
    }
}
