//! One resource of one account, which comes and goes at random, in every way that a client can.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{Rng, rngs::StdRng};
use rjabberd_testkit::Fault;
use tokio::time::sleep;

use crate::{
    link::{End, Link},
    shown::{Address, Shown},
    world::{Connected, World},
};

/// What a player may do, and how often.
#[derive(Clone, Copy, Debug)]
enum Deed {
    /// Logs in and says that it is available.
    Login,
    /// Logs in and says nothing.
    SilentLogin,
    /// Another presence; or the first one.
    Change,
    /// Unavailable, and after an answer available again.
    ComesBack,
    /// Unavailable and available in one write.
    Blinks,
    /// Unavailable, and stays connected.
    Hides,
    /// Unavailable, then the end of the stream.
    SaysGoodbye,
    /// The end of the stream, politely.
    Leaves,
    /// The socket is closed within the stream.
    Vanishes,
    /// The connection is reset.
    Resets,
    /// Another presence, and a reset at once.
    ChangesAndResets,
    /// A second connection binds the same resource.
    TakesOver,
}

const OFFLINE: &[(Deed, u32)] = &[(Deed::Login, 85), (Deed::SilentLogin, 15)];
const CONNECTED: &[(Deed, u32)] =
    &[(Deed::Change, 60), (Deed::Leaves, 15), (Deed::Vanishes, 5), (Deed::Resets, 5), (Deed::TakesOver, 15)];
const AVAILABLE: &[(Deed, u32)] = &[
    (Deed::Change, 38),
    (Deed::ComesBack, 8),
    (Deed::Blinks, 7),
    (Deed::Hides, 4),
    (Deed::SaysGoodbye, 7),
    (Deed::Leaves, 7),
    (Deed::Vanishes, 7),
    (Deed::Resets, 7),
    (Deed::ChangesAndResets, 5),
    (Deed::TakesOver, 10),
];

/// A presence that nobody has said before.
pub(crate) fn new_presence(world: &World, random: &mut StdRng) -> Shown {
    Shown {
        show: random.random_range(0..Shown::SHOWS),
        status: world.new_status(),
        priority: random.random_range(-2..=10),
    }
}

/// Says that an address is available, and puts it down.
pub(crate) fn says_presence(world: &World, address: Address, link: &Link, shown: Shown) {
    link.view(|view| view.opens());
    link.says(&shown.presence());
    world.shows(address, Some(shown));
}

/// One resource.
pub(crate) struct Player {
    world: Rc<World>,
    address: Address,
    random: StdRng,
    link: Option<Link>,
    pause_ms: u64,
}

impl Player {
    /// With its connection, if it has one.
    pub(crate) fn new(
        world: Rc<World>,
        address: Address,
        random: StdRng,
        link: Option<Link>,
        pause_ms: u64,
    ) -> Player {
        Player { world, address, random, link, pause_ms }
    }

    /// Plays until it is time; its connection, if it has one then.
    pub(crate) async fn plays(mut self, until: Instant) -> Option<Connected> {
        while Instant::now() < until {
            if self.random.random_bool(0.7) {
                sleep(Duration::from_millis(self.random.random_range(0..=self.pause_ms * 3))).await;
            }
            let table = match (&self.link, self.world.shown(self.address)) {
                (None, _) => OFFLINE,
                (Some(_), None) => CONNECTED,
                (Some(_), Some(_)) => AVAILABLE,
            };
            let deed = self.draw(table);
            self.world.does(self.address, &format!("{deed:?}"));
            if let Err(fault) = self.does(deed).await {
                self.world.faults.note(format!("{deed:?}: {fault}"));
                self.world.shows(self.address, None);
                self.link = None;
            }
        }
        self.link.map(|link| (self.address, link))
    }

    fn draw(&mut self, table: &[(Deed, u32)]) -> Deed {
        let mut drawn = self.random.random_range(0..table.iter().map(|(_, weight)| weight).sum());
        for (deed, weight) in table {
            if drawn < *weight {
                return *deed;
            }
            drawn -= weight;
        }
        table[0].0
    }

    async fn does(&mut self, deed: Deed) -> Result<(), Fault> {
        let Some(mut link) = self.link.take() else {
            let mut link = self.enters().await?;
            if matches!(deed, Deed::Login) {
                self.says_something(&link);
            }
            self.answers_or_not(&mut link).await?;
            self.link = Some(link);
            return Ok(());
        };
        if let Some(end) = link.has_ended() {
            return Err(format!("the server had ended the session: {end:?}").into());
        }
        match deed {
            Deed::Login | Deed::SilentLogin => {}
            Deed::Change => {
                self.says_something(&link);
                self.world.count(|counts| counts.changes += 1);
            }
            Deed::ComesBack => {
                self.hides(&mut link, false).await?;
                self.says_something(&link);
                self.world.count(|counts| counts.returns += 1);
            }
            Deed::Blinks => {
                self.hides(&mut link, true).await?;
                self.world.count(|counts| counts.returns += 1);
            }
            Deed::Hides => self.hides(&mut link, false).await?,
            Deed::SaysGoodbye => {
                link.says("<presence type='unavailable'/>");
                return self.leaves(link).await;
            }
            Deed::Leaves => return self.leaves(link).await,
            Deed::Vanishes => {
                self.world.shows(self.address, None);
                self.world.count(|counts| counts.cuts += 1);
                link.vanishes().await;
                return Ok(());
            }
            Deed::Resets | Deed::ChangesAndResets => {
                if matches!(deed, Deed::ChangesAndResets) {
                    self.says_something(&link);
                }
                self.world.shows(self.address, None);
                self.world.count(|counts| counts.resets += 1);
                link.resets().await;
                return Ok(());
            }
            Deed::TakesOver => link = self.takes_over(link).await?,
        }
        self.answers_or_not(&mut link).await?;
        self.link = Some(link);
        Ok(())
    }

    async fn enters(&mut self) -> Result<Link, Fault> {
        let mut link = Link::enter(&self.world, self.address).await?;
        // Not every client asks for its roster.
        if self.random.random_bool(0.9) {
            link.asks_roster();
        }
        Ok(link)
    }

    fn says_something(&mut self, link: &Link) {
        let shown = new_presence(&self.world, &mut self.random);
        says_presence(&self.world, self.address, link, shown);
    }

    /// Most of the time, the server's answer is waited for; else the next deed follows at once.
    async fn answers_or_not(&mut self, link: &mut Link) -> Result<(), Fault> {
        if self.random.random_bool(0.7) {
            let ping = link.pings();
            link.is_answered(ping).await?;
        }
        Ok(())
    }

    /// Becomes unavailable; `blinks` if only to become available again in the same write.
    async fn hides(&mut self, link: &mut Link, blinks: bool) -> Result<(), Fault> {
        let number = link.number();
        link.view(|view| view.closes(number, blinks));
        let unavailable = format!("<presence type='unavailable'/>{}", link.ping(number));
        if blinks {
            let shown = new_presence(&self.world, &mut self.random);
            link.says(&format!("{unavailable}{}", shown.presence()));
            self.world.shows(self.address, Some(shown));
        } else {
            link.says(&unavailable);
            self.world.shows(self.address, None);
        }
        link.is_answered(number).await
    }

    async fn leaves(&mut self, link: Link) -> Result<(), Fault> {
        self.world.shows(self.address, None);
        self.world.count(|counts| counts.clean_ends += 1);
        link.leaves().await
    }

    /// A second connection binds the resource of the first, which may have said something a moment ago.
    async fn takes_over(&mut self, old: Link) -> Result<Link, Fault> {
        if self.world.shown(self.address).is_some() && self.random.random_bool(0.5) {
            self.says_something(&old);
        }
        let new = self.enters().await?;
        self.world.shows(self.address, None);
        self.world.count(|counts| counts.takeovers += 1);
        if !self.world.silent_takeovers || self.random.random_bool(0.85) {
            self.says_something(&new);
        }
        match old.ends().await? {
            End::Error(condition) if condition == "conflict" => {
                self.world.count(|counts| counts.conflicts += 1);
                Ok(new)
            }
            end => Err(format!("the session that was taken over ended by {end:?}").into()),
        }
    }
}
