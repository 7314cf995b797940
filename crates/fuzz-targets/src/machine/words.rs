//! What the target speaks of: configs, keys, tokens, and what clients say.

use std::collections::HashMap;

use rjabberd_c2s_proto::{HostSettings, Offers, Settings, TlsPolicy};
use rjabberd_xml::Limits;
use rjabberd_xmpp::sasl::{
    Credentials, FakeSalts, FastToken, KeyPlan, Mechanism, ScramHash, ScramKeys, SecureChannel, TlsVersion,
    TokenMechanism, Tokens,
};

/// Addressees of directed presence.
pub(super) const DIRECTED_MAX: usize = 2;
/// What the clock says.
pub(super) const NOW: i64 = 1_000_000;
/// The config with TLS from the first byte.
#[cfg(test)]
pub(super) const DIRECT: u8 = 0;

pub(super) const HEADERS: [&str; 8] = [
    "version='1.0' to='a.example'",
    "version='1.0' to='b.example'",
    "version='1.0'",
    "version='1.0' to='a.example' from='romeo@a.example'",
    "version='1.0' to='a.example' from='juliet@b.example' xml:lang='de'",
    "to='a.example'",
    "version='1.0' to='elsewhere.example'",
    "version='9.9' to='@' from='/' xml:lang='&lt;'",
];

/// One of a client's installations.
macro_rules! agent {
    () => {
        "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>S</software><device>D</device></user-agent>"
    };
}

/// `\0romeo\0secret`.
macro_rules! romeo {
    () => {
        "<initial-response>AHJvbWVvAHNlY3JldA==</initial-response>"
    };
}

macro_rules! authenticate {
    ($mechanism:literal, $($inner:expr),*) => {
        concat!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='", $mechanism, "'>", $($inner),*, "</authenticate>")
    };
}

macro_rules! sasl {
    ($element:literal, $text:literal) => {
        concat!("<", $element, " xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", $text, "</", $element, ">")
    };
}

macro_rules! auth {
    ($mechanism:literal, $text:literal) => {
        concat!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='",
            $mechanism,
            "'>",
            $text,
            "</auth>"
        )
    };
}

pub(super) const ELEMENTS: &[&str] = &[
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    auth!("PLAIN", "AHJvbWVvAHNlY3JldA=="),
    auth!("PLAIN", "cm9tZW8AanVsaWV0AHNlY3JldA=="),
    auth!("PLAIN", ""),
    auth!("PLAIN", "="),
    auth!("PLAIN", "!"),
    auth!("SCRAM-SHA-1", ""),
    // n,,n=u,r=x
    auth!("SCRAM-SHA-1", "biwsbj11LHI9eA=="),
    // p=tls-exporter,,n=u,r=x
    auth!("SCRAM-SHA-1-PLUS", "cD10bHMtZXhwb3J0ZXIsLG49dSxyPXg="),
    // y,,n=u,r=x
    auth!("SCRAM-SHA-1", "eSwsbj11LHI9eA=="),
    auth!("EXTERNAL", "="),
    auth!("EXTERNAL", "cm9tZW9AYS5leGFtcGxl"),
    auth!("ANONYMOUS", ""),
    auth!("DIGEST-MD5", ""),
    auth!("HT-SHA-256-NONE", "cm9tZW8A"),
    auth!("NONSENSE", ""),
    // c=biws,r=x3rfcNHYJY1ZVvWVs7j,p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=
    sasl!("response", "Yz1iaXdzLHI9eDNyZmNOSFlKWTFaVnZXVnM3aixwPUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQT0="),
    sasl!("response", ""),
    sasl!("response", "biwsbj11LHI9eA=="),
    sasl!("abort", ""),
    authenticate!("PLAIN", romeo!()),
    authenticate!("PLAIN", romeo!(), "<bind xmlns='urn:xmpp:bind:0'/>"),
    authenticate!("PLAIN", romeo!(), "<bind xmlns='urn:xmpp:bind:0'><tag>T</tag></bind>", agent!()),
    authenticate!(
        "PLAIN",
        romeo!(),
        "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>",
        agent!(),
        "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>",
        "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>"
    ),
    authenticate!("PLAIN", romeo!(), "<resume xmlns='urn:xmpp:sm:3' h='1' previd='x'/>"),
    authenticate!(
        "PLAIN",
        romeo!(),
        agent!(),
        "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>"
    ),
    authenticate!("SCRAM-SHA-1", "<initial-response>biwsbj11LHI9eA==</initial-response>"),
    authenticate!("SCRAM-SHA-1", ""),
    authenticate!("PLAIN", romeo!(), romeo!(), agent!(), agent!()),
    authenticate!(
        "HT-SHA-256-NONE",
        "<initial-response>cm9tZW8AQdulLyh3Cb6VTfk4PSjC1xllqb7vo842OQR7dW758Os=</initial-response>",
        agent!(),
        "<fast xmlns='urn:xmpp:fast:0' count='9'/><bind xmlns='urn:xmpp:bind:0'/>"
    ),
    authenticate!(
        "HT-SHA-256-NONE",
        "<initial-response>cm9tZW8AQdulLyh3Cb6VTfk4PSjC1xllqb7vo842OQR7dW758Os=</initial-response>",
        agent!(),
        "<fast xmlns='urn:xmpp:fast:0' count='1' invalidate='true'/>"
    ),
    authenticate!("HT-SHA-256-EXPR", "<initial-response>cm9tZW8AAA==</initial-response>", agent!()),
    "<authenticate xmlns='urn:xmpp:sasl:2'/>",
    "<response xmlns='urn:xmpp:sasl:2'/>",
    "<response xmlns='urn:xmpp:sasl:2'>Yz1iaXdzLHI9eDNyZmNOSFlKWTFaVnZXVnM3aixwPUFBPQ==</response>",
    "<abort xmlns='urn:xmpp:sasl:2'/>",
    "<abort xmlns='urn:xmpp:sasl:2'><text>t</text></abort>",
    "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>",
    "<next xmlns='urn:xmpp:sasl:2' task='UPGR-NONSENSE'/>",
    "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>AAAAAAAAAAAAAAAAAAAAAAAAAAA=</hash></task-data>",
    "<task-data xmlns='urn:xmpp:sasl:2'/>",
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>home</resource></bind></iq>",
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<iq type='get' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>&#10;</resource></bind></iq>",
    "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
    "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>u</username><password>p</password></query></iq>",
    "<iq type='set' id='r' to='a.example'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    "<iq type='result' id='ping-1' to='a.example'/>",
    "<iq type='nonsense' id='x'/>",
    "<iq type='get' id='&lt;&amp;\"'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='get' id='v' to='romeo@a.example'><vCard xmlns='vcard-temp'/></iq>",
    "<message to='juliet@a.example'><body>O &lt;</body></message>",
    "<message from='juliet@a.example'/>",
    "<message to='@'/>",
    "<message type='error' to='juliet@a.example'/>",
    "<presence/>",
    "<presence><priority>200</priority></presence>",
    "<presence type='unavailable'/>",
    "<presence type='subscribe' to='x@a.example'/>",
    "<presence to='x@a.example'/>",
    "<presence to='y@a.example' type='unavailable'/>",
    "<presence to='z@a.example/1'/>",
    "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>",
    "<enable xmlns='urn:xmpp:sm:3'/>",
    "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
    "<enable xmlns='urn:xmpp:sm:2' resume='1' max='4294967295'/>",
    "<resume xmlns='urn:xmpp:sm:3' h='7' previd='BwcHBwcHBwcHBwcHBwcHBw'/>",
    "<resume xmlns='urn:xmpp:sm:3' h='x' previd='x'/>",
    "<a xmlns='urn:xmpp:sm:3' h='7'/>",
    "<a xmlns='urn:xmpp:sm:3'/>",
    "<inactive xmlns='urn:xmpp:csi:0'/>",
    "<r xmlns='urn:xmpp:sm:3'/>",
    "<active xmlns='urn:xmpp:csi:0'/>",
    "<a/>",
];

/// TLS, SASL and registration as a byte says.
pub(super) fn settings(config: u8) -> Settings {
    let tls = [
        TlsPolicy::Direct,
        TlsPolicy::StartTls { required: true },
        TlsPolicy::StartTls { required: false },
        TlsPolicy::None,
    ];
    let hosts = ["a.example", "b.example"];
    Settings {
        hosts: hosts.map(|name| (name.to_owned(), host(config))).into_iter().collect::<HashMap<_, _>>(),
        default_host: "a.example".to_owned(),
        tls: tls[usize::from(config % 4)],
        limits_before: Limits::UNAUTHENTICATED,
        limits: Limits::AUTHENTICATED,
        sasl_failures_max: 5,
        directed_presence_max: DIRECTED_MAX,
        idle_s: 300,
        resumption_s_max: 600,
    }
}

fn host(config: u8) -> HostSettings {
    let scram = ScramHash::Sha1;
    let mut mechanisms = vec![Mechanism::ScramPlus(scram), Mechanism::Scram(scram), Mechanism::Plain];
    if config & 16 != 0 {
        mechanisms.extend([Mechanism::External, Mechanism::DigestMd5, Mechanism::Anonymous]);
    }
    let plan = KeyPlan { hashes: vec![scram], iterations: 4096, digest: config & 16 != 0 };
    HostSettings {
        mechanisms,
        plain_without_tls: config & 4 == 0,
        downgrade_protection: config & 64 == 0,
        registration: config & 8 != 0,
        features: Vec::new(),
        offers: Offers::default(),
        fakes: FakeSalts::new(b"secret of the server", plan),
        token_rotation_s: (config & 32 == 0).then_some(60),
    }
}

/// A channel with bindings, or without.
pub(super) fn channel(which: u8) -> SecureChannel {
    SecureChannel {
        version: if which & 1 == 0 { TlsVersion::V13 } else { TlsVersion::V12 },
        exporter: (which & 2 == 0).then_some([7; 32]),
        end_point: (which & 4 == 0).then(|| vec![8; 32].into()),
        accounts: Vec::new(),
    }
}

/// Keys that nobody knows the password of.
pub(super) fn credentials(iterations: u32) -> Credentials {
    Credentials {
        keys: vec![ScramKeys {
            hash: ScramHash::Sha1,
            iterations,
            salt: b"salt".to_vec(),
            stored_key: vec![1; 20].into(),
            server_key: vec![2; 20].into(),
        }],
        digest: None,
    }
}

/// A token that the words above know.
pub(super) fn token() -> FastToken {
    FastToken {
        mechanism: TokenMechanism::None,
        secret: "a secret".to_owned().into(),
        issued_unix_s: NOW,
        expires_unix_s: NOW + 1_000,
        count: 3,
    }
}

/// None, one, one that has expired, or two.
pub(super) fn tokens(which: u8) -> Tokens {
    let expired = FastToken { expires_unix_s: NOW - 1, ..token() };
    match which % 4 {
        0 => Tokens { current: Some(token()), fresh: None },
        1 => Tokens { current: None, fresh: Some(token()) },
        2 => Tokens { current: Some(expired), fresh: Some(token()) },
        _ => Tokens::default(),
    }
}
