//! Two contacts, both online all the time, one of whom takes back what the other may see, and grants it again
//! (RFC 6121, 3.1 to 3.3), while both change their presence.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{Rng, rngs::StdRng};
use rjabberd_testkit::Fault;
use tokio::time::sleep;

use crate::{
    link::Link,
    player::{new_presence, says_presence},
    shown::bare_jid,
    view::View,
    world::{Connected, World},
};

/// Quarrels until it is time. Between two steps, the one who sees and the one who is seen change their presence.
pub(crate) async fn quarrels(
    world: Rc<World>,
    mut pair: [Connected; 2],
    mut random: StdRng,
    pause_ms: u64,
    until: Instant,
) -> [Connected; 2] {
    while Instant::now() < until {
        if let Err(fault) = once(&world, &mut pair, &mut random, pause_ms).await {
            world.faults.note(format!("quarrel: {fault}"));
            break;
        }
    }
    pair
}

async fn once(
    world: &World,
    pair: &mut [Connected; 2],
    random: &mut StdRng,
    pause_ms: u64,
) -> Result<(), Fault> {
    pair.rotate_left(random.random_range(0..2));
    let [(seer, sees), (shower, shows)] = &*pair;
    let (seer, shower) = (*seer, *shower);
    let to = |account| bare_jid(account, &world.domain);
    for (address, link) in &*pair {
        if random.random_bool(0.7) {
            says_presence(world, *address, link, new_presence(world, random));
        }
    }
    if world.sees(seer.account(), shower.account()) {
        // Either of the two may end it.
        if !world.unsubscribes || random.random_bool(0.5) {
            shows.says(&format!("<presence type='unsubscribed' to='{}'/>", to(seer.account())));
        } else {
            sees.says(&format!("<presence type='unsubscribe' to='{}'/>", to(shower.account())));
        }
        world.may_see(seer.account(), shower.account(), false);
        world.count(|counts| counts.revoked += 1);
    } else {
        sees.says(&format!("<presence type='subscribe' to='{}'/>", to(shower.account())));
        world.may_see(seer.account(), shower.account(), true);
        world.count(|counts| counts.granted += 1);
    }
    for (address, link) in &*pair {
        if random.random_bool(0.5) {
            says_presence(world, *address, link, new_presence(world, random));
        }
    }
    agrees(world, sees, seer.account(), shower.account()).await?;
    agrees(world, shows, shower.account(), seer.account()).await?;
    sleep(Duration::from_millis(random.random_range(0..=pause_ms))).await;
    Ok(())
}

/// Waits until the pushes have told a client what its roster must say of a contact.
async fn agrees(world: &World, link: &Link, of: u16, contact: u16) -> Result<(), Fault> {
    let truth = world.subscription(of, contact);
    let knows = |view: &mut View| {
        let item = view.roster.as_ref().and_then(|roster| roster.get(&contact));
        item.is_some_and(|(subscription, asks)| subscription == truth && !asks)
    };
    link.until(&format!("push of {truth:?}"), knows).await
}
