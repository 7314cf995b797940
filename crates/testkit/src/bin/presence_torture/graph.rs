//! Who has whom as a contact: a random regular graph, the same for the same seed.

use std::collections::BTreeSet;

use rand::{Rng, rngs::StdRng};

/// The contacts of each account, in order.
#[derive(Debug)]
pub(crate) struct Graph(Vec<BTreeSet<u16>>);

impl Graph {
    /// Each of `accounts` has `degree` contacts, an even number below theirs. A ring in which each knows its neighbours,
    /// whose edges are then swapped, pair by pair, until nothing of the ring is left.
    pub(crate) fn regular(accounts: u16, degree: u16, random: &mut StdRng) -> Graph {
        assert!(
            degree.is_multiple_of(2) && degree < accounts,
            "no ring of {accounts} has {degree} contacts each"
        );
        let mut edges = Vec::new();
        let mut contacts = vec![BTreeSet::new(); usize::from(accounts)];
        for one in 0..accounts {
            for step in 1..=degree / 2 {
                let other = (one + step) % accounts;
                edges.push((one, other));
                join(&mut contacts, one, other);
            }
        }
        for _ in 0..edges.len() * 10 {
            let (first, second) = (random.random_range(0..edges.len()), random.random_range(0..edges.len()));
            let ((a, b), (c, d)) = (edges[first], edges[second]);
            let is_new = |one: u16, other: u16| one != other && !contacts[usize::from(one)].contains(&other);
            if first != second && is_new(a, d) && is_new(c, b) && (a, d) != (b, c) {
                part(&mut contacts, a, b);
                part(&mut contacts, c, d);
                join(&mut contacts, a, d);
                join(&mut contacts, c, b);
                (edges[first], edges[second]) = ((a, d), (c, b));
            }
        }
        Graph(contacts)
    }

    /// The contacts of one account.
    pub(crate) fn contacts(&self, of: u16) -> impl Iterator<Item = u16> + '_ {
        self.0[usize::from(of)].iter().copied()
    }

    /// Whether these two have each other.
    pub(crate) fn has(&self, one: u16, other: u16) -> bool {
        self.0[usize::from(one)].contains(&other)
    }

    /// So many pairs of contacts, none of whom is in two pairs; fewer if there are not as many.
    pub(crate) fn pairs(&self, count: usize) -> Vec<(u16, u16)> {
        let mut taken = BTreeSet::new();
        let mut pairs = Vec::new();
        for one in 0..self.0.len() as u16 {
            let free = self.contacts(one).find(|other| !taken.contains(other));
            if let Some(other) = free.filter(|_| !taken.contains(&one) && pairs.len() < count) {
                taken.extend([one, other]);
                pairs.push((one, other));
            }
        }
        pairs
    }
}

fn join(contacts: &mut [BTreeSet<u16>], one: u16, other: u16) {
    contacts[usize::from(one)].insert(other);
    contacts[usize::from(other)].insert(one);
}

fn part(contacts: &mut [BTreeSet<u16>], one: u16, other: u16) {
    contacts[usize::from(one)].remove(&other);
    contacts[usize::from(other)].remove(&one);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn all_have_as_many_contacts_mutually_and_not_those_of_the_ring() {
        let graph = Graph::regular(100, 10, &mut StdRng::seed_from_u64(7));
        let mut neighbours = 0;
        for one in 0..100 {
            assert_eq!(graph.contacts(one).count(), 10);
            assert!(!graph.has(one, one));
            assert!(graph.contacts(one).all(|other| graph.has(other, one)));
            neighbours += usize::from(graph.has(one, (one + 1) % 100));
        }
        assert!(neighbours < 40, "{neighbours}");
    }

    #[test]
    fn the_same_seed_makes_the_same_graph() {
        let graph = |seed| Graph::regular(30, 4, &mut StdRng::seed_from_u64(seed)).0;
        assert_eq!(graph(1), graph(1));
        assert_ne!(graph(1), graph(2));
    }

    #[test]
    fn pairs_share_nobody() {
        let pairs = Graph::regular(20, 4, &mut StdRng::seed_from_u64(1)).pairs(5);
        let all: BTreeSet<_> = pairs.iter().flat_map(|(one, other)| [one, other]).collect();
        assert_eq!((pairs.len(), all.len()), (5, 10));
    }
}
