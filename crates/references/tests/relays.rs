//! Each stage relays between two clients that share no code with it, with the sender's address written in.

#![expect(clippy::unwrap_used, reason = "in a test, a relay that does not start is a failure")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rjabberd_testkit::{Client, Hash};

struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(stage: &str) -> Relay {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rjabberd-reference"))
            .args(["--stage", stage])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Relay { address: line.trim().parse().unwrap(), process }
    }

    fn client(&self, user: &str) -> Client {
        let mut client = Client::connect(user, self.address, "localhost");
        client.opens_stream().logs_in(Hash::Sha1, user, "secret").binds(Some("here")).is_available(0);
        client
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

fn check(stage: &str) {
    let relay = Relay::start(stage);
    let (mut juliet, mut romeo) = (relay.client("juliet"), relay.client("romeo"));
    romeo.sends("<message to='juliet@localhost' type='chat'><body>soft</body></message>");
    juliet.gets(
        "<message from='romeo@localhost/here' to='juliet@localhost' type='chat'><body>soft</body></message>",
    );
    // More than a socket takes at once, and still in order.
    let body = "x".repeat(4_000);
    let message =
        |number| format!("<message to='juliet@localhost' id='{number}'><body>{body}</body></message>");
    let flood = romeo.sends_meanwhile((0..2_000).map(message).collect::<String>().into_bytes());
    for number in 0..2_000 {
        let heard = juliet.takes();
        assert_eq!(heard.attribute("id"), Some(number.to_string().as_str()));
    }
    flood.join().unwrap().unwrap();
}

#[test]
fn a_bare_relay_relays() {
    check("r1");
}

#[test]
fn a_relay_with_a_framer_relays() {
    check("r2");
}

#[test]
fn a_relay_with_actors_relays() {
    check("r3");
}
