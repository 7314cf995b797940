//! How the end is told from a pause: by barriers, never by waiting alone.
//!
//! A barrier is a message of every client to everybody who sees it, and a ping of every client: what comes from one
//! address to another keeps its order (RFC 6120, 10.1), so behind a barrier nothing of the clients that are online is
//! under way. The ends of those that are gone have no sender who could say such a message: until a view agrees with the
//! truth, barriers are repeated, up to a limit from the last presence on.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rjabberd_testkit::Fault;
use tokio::time::sleep;

use crate::world::{Connected, Difference, World};

/// How long after the last presence a difference may still go away.
const STANDSTILL: Duration = Duration::from_secs(15);
/// Rest between two barriers: it proves nothing, it spares the processor.
const REST: Duration = Duration::from_millis(100);

/// Barriers until nothing came between the last two and `differences` finds none, or nothing more comes; what it finds.
pub(crate) async fn settles(
    world: &Rc<World>,
    clients: &mut [Connected],
    differences: impl Fn(&World, &[Connected]) -> Vec<Difference>,
) -> Result<Vec<Difference>, Fault> {
    let (mut number, mut heard, mut last) = (0, None, Instant::now());
    loop {
        number += 1;
        barrier(world, clients, number).await?;
        let found = differences(world, clients);
        let presences = Some(world.heard().presences);
        if presences != heard {
            (heard, last) = (presences, Instant::now());
        } else if found.is_empty() || last.elapsed() > STANDSTILL {
            return Ok(found);
        }
        sleep(REST).await;
    }
}

async fn barrier(world: &World, clients: &mut [Connected], number: u32) -> Result<(), Fault> {
    let mut of_account = vec![Vec::new(); usize::from(world.accounts)];
    for (address, link) in &*clients {
        link.view(|view| view.barriers.clear());
        if world.shown(*address).is_some() {
            of_account[usize::from(address.account())].push(*address);
        }
    }
    let related = |account: u16| {
        let accounts = world.graph.contacts(account).chain([account]);
        accounts.flat_map(|account| &of_account[usize::from(account)]).copied()
    };
    let available = |clients: &[Connected], index: usize| world.shown(clients[index].0).is_some();
    let mut pings = Vec::new();
    for index in 0..clients.len() {
        if available(clients, index) {
            let messages: String = related(clients[index].0.account())
                .map(|to| {
                    format!("<message type='headline' id='barrier-{number}' to='{}'/>", to.jid(&world.domain))
                })
                .collect();
            clients[index].1.says(&messages);
        }
        pings.push(clients[index].1.pings());
    }
    for (index, ping) in pings.into_iter().enumerate() {
        let (address, link) = &clients[index];
        link.is_answered(ping).await?;
        if available(clients, index) {
            let wanted: Vec<_> = related(address.account()).collect();
            link.until("barrier", |view| wanted.iter().all(|from| view.barriers.get(from) == Some(&number)))
                .await?;
        }
    }
    Ok(())
}
