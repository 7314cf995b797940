//! tokio-xmpp logs in, says one thing to whom it is told, prints what it is answered and goes:
//! `PROGRAM starttls|direct ADDRESS JID PASSWORD TO BODY`.
//!
//! It trusts the authorities of the file that SSL_CERT_FILE names. It takes the best mechanism that it knows, which it
//! has no way to be asked for: the server's log says which. What it meets stands on stdout, one line each.

use std::{env, error::Error, time::Duration};

use futures::StreamExt;
use tokio_xmpp::{
    Client, Event, Stanza,
    connect::DnsConfig,
    jid::Jid,
    parsers::{
        message::{Lang, Message, MessageType},
        presence::Presence,
    },
    rustls,
    xmlstream::Timeouts,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "there is a provider already")?;
    let words: Vec<String> = env::args().skip(1).collect();
    let [how, address, jid, password, to, body] = words.as_slice() else {
        return Err("usage: starttls|direct ADDRESS JID PASSWORD TO BODY".into());
    };
    let server = DnsConfig::addr(address);
    let (jid, timeouts) = (Jid::new(jid)?, Timeouts::tight());
    let mut client = match how.as_str() {
        "starttls" => Client::new_starttls(jid, password, server, timeouts),
        "direct" => Client::new_direct_tls_with_config(jid, password, server, timeouts),
        _ => return Err(format!("there is no way {how:?} to connect").into()),
    };
    tokio::time::timeout(PATIENCE, talk(&mut client, &Jid::new(to)?, body)).await??;
    client.send_end().await?;
    println!("gone");
    Ok(())
}

/// Says it once there is a session, and waits for an answer.
async fn talk(client: &mut Client, to: &Jid, body: &str) -> Result<(), Box<dyn Error>> {
    while let Some(event) = client.next().await {
        match event {
            Event::Online { bound_jid, .. } => {
                println!("online {bound_jid}");
                client.send_stanza(Presence::available().into()).await?;
                let mut message = Message::new(Some(to.clone()));
                message.type_ = MessageType::Chat;
                message.bodies.insert(Lang::default(), body.to_owned());
                client.send_stanza(message.into()).await?;
            }
            Event::Stanza(Stanza::Message(message)) => {
                let from = message.from.as_ref().map(ToString::to_string).unwrap_or_default();
                let said = message.bodies.values().next().cloned().unwrap_or_default();
                println!("{from} says {said}");
                return Ok(());
            }
            Event::Disconnected(error) => return Err(error.into()),
            Event::Stanza(_) => {}
        }
    }
    Err("the stream ended".into())
}
