//! Counts connections, in all, per address, and new ones per address and second, and refuses what is over the limit.
//!
//! An address is one IPv4 address or one IPv6 /64. Addresses that many share have only the limit for all. Invariant: what
//! is remembered of an address that has no connection is forgotten after a second or two, and is bounded.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use parking_lot::Mutex;

use crate::pace::Pace;

/// Whether many may share an address (loopback and private ranges: a proxy, a container network).
pub type Shared = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How many connections there may be at once.
pub struct CensusLimits {
    /// In all.
    pub connections_max: usize,
    /// From one address.
    pub per_address_max: usize,
    /// New ones in a second from one address.
    pub per_address_per_s_max: u32,
    /// Addresses that only the limit for all applies to.
    pub shared: Shared,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are too many in all.
    Connections,
    /// There are too many from this address.
    Address,
    /// Too many came from this address within a second.
    Rate,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Refusal; 3] = [Refusal::Connections, Refusal::Address, Refusal::Rate];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Connections => "all",
            Refusal::Address => "address",
            Refusal::Rate => "rate",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Refusal::Connections => "limits.connections_max is reached",
            Refusal::Address => "limits.connections_per_address_max is reached",
            Refusal::Rate => "limits.connections_per_address_per_s_max is reached",
        })
    }
}

struct Counts {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
    pace: Pace,
    accepted: u64,
    /// One for each of [`Refusal::ALL`].
    refused: [u64; Refusal::ALL.len()],
}

/// Who is connected from where; shared by all listeners.
pub struct Census {
    limits: CensusLimits,
    counts: Mutex<Counts>,
}

/// One connection's place; given back when dropped.
pub struct Admission {
    census: Arc<Census>,
    address: Option<IpAddr>,
}

impl Census {
    /// A census with nobody in it.
    pub fn new(limits: CensusLimits) -> Arc<Census> {
        let counts = Counts {
            all: 0,
            addresses: HashMap::new(),
            pace: Pace::new(limits.per_address_per_s_max, Instant::now()),
            accepted: 0,
            refused: [0; Refusal::ALL.len()],
        };
        Arc::new(Census { limits, counts: Mutex::new(counts) })
    }

    /// Counts a connection in, or refuses it. The address must be canonical.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn admit(census: &Arc<Census>, address: IpAddr) -> Result<Admission, Refusal> {
        let address = (!(census.limits.shared)(address)).then(|| block(address));
        Census::count_in(census, address)
    }

    /// Counts a connection in that only the limit for all applies to: one of a proxy's own.
    ///
    /// # Errors
    /// That limit is reached.
    pub fn admit_proxy(census: &Arc<Census>) -> Result<Admission, Refusal> {
        Census::count_in(census, None)
    }

    fn count_in(census: &Arc<Census>, address: Option<IpAddr>) -> Result<Admission, Refusal> {
        let mut counts = census.counts.lock();
        let from_there = address.and_then(|address| counts.addresses.get(&address)).copied().unwrap_or(0);
        let refusal = if counts.all >= census.limits.connections_max {
            Some(Refusal::Connections)
        } else if from_there >= census.limits.per_address_max {
            Some(Refusal::Address)
        } else if address.is_some_and(|address| !counts.pace.admits(address, Instant::now())) {
            Some(Refusal::Rate)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            counts.refused[refusal as usize] += 1;
            return Err(refusal);
        }
        counts.all += 1;
        counts.accepted += 1;
        if let Some(address) = address {
            counts.addresses.insert(address, from_there + 1);
        }
        drop(counts);
        Ok(Admission { census: census.clone(), address })
    }

    /// (connections now, accepted since the start, refused since the start).
    pub fn counts(&self) -> (usize, u64, u64) {
        let counts = self.counts.lock();
        (counts.all, counts.accepted, counts.refused.iter().sum())
    }

    /// Connections that were refused since the start, by the names of [`Refusal`].
    pub fn refusals(&self) -> [(&'static str, u64); Refusal::ALL.len()] {
        let refused = self.counts.lock().refused;
        Refusal::ALL.map(|refusal| (refusal.name(), refused[refusal as usize]))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.census.counts.lock();
        counts.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(from_there) = counts.addresses.get_mut(&address) {
            *from_there -= 1;
            if *from_there == 0 {
                counts.addresses.remove(&address);
            }
        }
    }
}

/// What a limit per address counts as one: an IPv4 address, or an IPv6 /64.
pub fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(connections_max: usize, per_address_max: usize) -> Arc<Census> {
        let shared = Box::new(|address: IpAddr| matches!(address, IpAddr::V4(ip) if ip.is_private()));
        Census::new(CensusLimits { connections_max, per_address_max, per_address_per_s_max: 100, shared })
    }

    #[test]
    fn a_place_is_given_back_when_its_connection_ends() {
        let census = census(1, 1);
        let first = Census::admit(&census, "192.0.2.1".parse().unwrap());
        assert_eq!(Census::admit(&census, "192.0.2.2".parse().unwrap()).err(), Some(Refusal::Connections));
        drop(first);
        assert!(Census::admit(&census, "192.0.2.2".parse().unwrap()).is_ok());
        assert_eq!(census.counts(), (0, 2, 1));
        assert!(census.counts.lock().addresses.is_empty(), "an address without connections is forgotten");
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let census = census(10, 2);
        let address = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::ffff".parse().unwrap();
        let _held = [Census::admit(&census, address).unwrap(), Census::admit(&census, neighbour).unwrap()];
        assert_eq!(Census::admit(&census, address).err(), Some(Refusal::Address));
        assert!(Census::admit(&census, "2001:db8:0:1::1".parse().unwrap()).is_ok());
    }

    #[test]
    fn addresses_behind_a_proxy_are_limited_in_all_only() {
        let census = census(10, 1);
        let held: Vec<_> =
            (0..10).map(|_| Census::admit(&census, "172.17.0.1".parse().unwrap()).unwrap()).collect();
        assert_eq!(held.len(), 10);
        assert_eq!(Census::admit(&census, "10.0.0.1".parse().unwrap()).err(), Some(Refusal::Connections));
    }

    #[test]
    fn refusals_are_told_apart() {
        let shared = Box::new(|_: IpAddr| false);
        let limits =
            CensusLimits { connections_max: 4, per_address_max: 2, per_address_per_s_max: 3, shared };
        let census = Census::new(limits);
        let admit = |address: &str| Census::admit(&census, address.parse().unwrap());
        let [one, two] = [admit("192.0.2.1").unwrap(), admit("192.0.2.1").unwrap()];
        assert_eq!(admit("192.0.2.1").err(), Some(Refusal::Address));
        drop(one);
        let _three = admit("192.0.2.1").unwrap();
        drop(two);
        assert_eq!(admit("192.0.2.1").err(), Some(Refusal::Rate), "three within a second");
        let _others = ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(|address| admit(address).unwrap());
        assert_eq!(admit("192.0.2.5").err(), Some(Refusal::Connections));
        assert_eq!(census.refusals(), [("all", 1), ("address", 1), ("rate", 1)]);
        assert_eq!(census.counts(), (4, 6, 3));
    }

    #[test]
    fn a_proxy_of_ours_is_counted_in_all_only() {
        let census = census(2, 1);
        let _held = [Census::admit_proxy(&census).unwrap(), Census::admit_proxy(&census).unwrap()];
        assert_eq!(Census::admit_proxy(&census).err(), Some(Refusal::Connections));
    }
}
