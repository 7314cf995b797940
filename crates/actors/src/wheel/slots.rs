//! The wheel's slots: what is armed, in lists by the tick at which it is due. Pure; it knows no clock.
//!
//! One entry of 40 bytes for each deadline, and a key of 8 bytes to take it back, whatever the number of deadlines.

use std::num::NonZeroU32;

/// What is done when a deadline passes.
pub(super) type Fire = Box<dyn FnOnce()>;

/// Slots of the wheel; what is due later than a turn stays in its slot for more turns.
pub(super) const SLOTS: usize = 256;

/// No place.
const NONE: u32 = u32::MAX;

/// Where a deadline stands, and which of all that stood there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    place: u32,
    generation: NonZeroU32,
}

struct Place {
    due: u64,
    /// Nothing in a free place.
    fire: Option<Fire>,
    before: u32,
    /// In a free place: the next free one.
    after: u32,
    generation: NonZeroU32,
}

#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

/// All that is armed.
pub(super) struct Slots {
    lists: Vec<Ends>,
    places: Vec<Place>,
    free: u32,
    armed: usize,
    /// Of places that were never used; keys from before the places were given back match none of them.
    generation: NonZeroU32,
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots {
            lists: vec![Ends { first: NONE, last: NONE }; SLOTS],
            places: Vec::new(),
            free: NONE,
            armed: 0,
            generation: NonZeroU32::MIN,
        }
    }

    /// How many deadlines are armed.
    pub(super) fn armed(&self) -> usize {
        self.armed
    }

    /// Puts a deadline behind the others of its slot.
    pub(super) fn insert(&mut self, due: u64, fire: Fire) -> Key {
        let place = self.take_place();
        let list = &mut self.lists[due as usize % SLOTS];
        let before = std::mem::replace(&mut list.last, place);
        match before {
            NONE => list.first = place,
            before => self.places[before as usize].after = place,
        }
        let entry = &mut self.places[place as usize];
        (entry.due, entry.fire, entry.before, entry.after) = (due, Some(fire), before, NONE);
        self.armed += 1;
        Key { place, generation: entry.generation }
    }

    fn take_place(&mut self) -> u32 {
        if self.free != NONE {
            let place = self.free;
            self.free = self.places[place as usize].after;
            return place;
        }
        let place = u32::try_from(self.places.len()).expect("fewer than 4 billion deadlines");
        let generation = self.generation;
        self.places.push(Place { due: 0, fire: None, before: NONE, after: NONE, generation });
        place
    }

    /// Takes a deadline out; nothing where it has passed.
    pub(super) fn remove(&mut self, key: Key) -> Option<Fire> {
        let entry = self.places.get(key.place as usize)?;
        if entry.generation != key.generation || entry.fire.is_none() {
            return None;
        }
        self.unlink(key.place)
    }

    /// Takes out what is due up to `now`, of the slot that `tick` falls into.
    pub(super) fn take_due(&mut self, tick: u64, now: u64, due: &mut Vec<Fire>) {
        let mut place = self.lists[tick as usize % SLOTS].first;
        while place != NONE {
            let entry = &self.places[place as usize];
            let after = entry.after;
            if entry.due <= now {
                due.extend(self.unlink(place));
            }
            // The last one may have given all places back.
            place = after;
        }
    }

    fn unlink(&mut self, place: u32) -> Option<Fire> {
        let entry = &mut self.places[place as usize];
        let (due, before, after) = (entry.due, entry.before, entry.after);
        let fire = entry.fire.take();
        // A place whose generations are used up is never used again.
        if let Some(generation) = entry.generation.checked_add(1) {
            (entry.generation, entry.after) = (generation, self.free);
            self.free = place;
        }
        let list = &mut self.lists[due as usize % SLOTS];
        match before {
            NONE => list.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => list.last = before,
            after => self.places[after as usize].before = before,
        }
        self.armed -= 1;
        if self.armed == 0 {
            self.give_back();
        }
        fire
    }

    /// Nothing is armed: the memory of a burst is given back.
    fn give_back(&mut self) {
        let used = self.places.iter().map(|entry| entry.generation).max();
        // A place that was used up keeps its last key from matching.
        if let Some(generation) = used.filter(|used| *used < NonZeroU32::MAX) {
            self.generation = generation;
            (self.places, self.free) = (Vec::new(), NONE);
        }
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Fire> {
        let mut all = Vec::new();
        let mut place = 0;
        // With the last one, the places go.
        while place < self.places.len() {
            if self.places[place].fire.is_some() {
                all.extend(self.unlink(place as u32));
            }
            place += 1;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use proptest::prelude::*;

    use super::*;

    const _: () = assert!(size_of::<Place>() == 40 && size_of::<Option<Key>>() == 8);

    /// What is done to the slots.
    #[derive(Clone, Debug)]
    enum Deed {
        Insert(u64),
        Remove(usize),
        Turn(u64),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let deed = prop_oneof![
            4 => (1_u64..600).prop_map(Deed::Insert),
            3 => any::<usize>().prop_map(Deed::Remove),
            1 => (1_u64..300).prop_map(Deed::Turn),
        ];
        prop::collection::vec(deed, 1..200)
    }

    proptest! {
        /// Against a plain list: what passes is what was armed, due and not taken back, each once.
        #[test]
        fn what_passes_is_what_was_armed_and_not_taken_back(deeds in deeds()) {
            let mut slots = Slots::new();
            let passed = Rc::new(Cell::new(0_u64));
            let (mut now, mut keys, mut wanted) = (0, Vec::new(), 0);
            for (number, deed) in deeds.into_iter().enumerate() {
                match deed {
                    Deed::Insert(after) => {
                        let passed = passed.clone();
                        let fire = Box::new(move || passed.set(passed.get() + number as u64));
                        keys.push((slots.insert(now + after, fire), now + after, number as u64, true));
                    }
                    // Of those that have passed too: their keys match nothing any more.
                    Deed::Remove(index) if !keys.is_empty() => {
                        let index = index % keys.len();
                        let (key, _, _, armed) = &mut keys[index];
                        prop_assert_eq!(slots.remove(*key).is_some(), *armed);
                        *armed = false;
                    }
                    Deed::Remove(_) => {}
                    Deed::Turn(ticks) => {
                        let mut due = Vec::new();
                        for tick in now + 1..=now + ticks {
                            slots.take_due(tick, now + ticks, &mut due);
                        }
                        now += ticks;
                        due.into_iter().for_each(|fire| fire());
                        for (_, due, number, armed) in &mut keys {
                            if *armed && *due <= now {
                                *armed = false;
                                wanted += *number;
                            }
                        }
                    }
                }
                prop_assert_eq!(passed.get(), wanted);
                prop_assert_eq!(slots.armed(), keys.iter().filter(|(.., armed)| *armed).count());
            }
        }
    }

    #[test]
    fn the_places_are_given_back_with_the_last_deadline_and_old_keys_match_no_new_one() {
        let mut slots = Slots::new();
        let old: Vec<Key> = (0..100).map(|due| slots.insert(due, Box::new(|| {}))).collect();
        old.iter().for_each(|key| drop(slots.remove(*key)));
        assert_eq!(slots.places.capacity(), 0);
        let new = slots.insert(1, Box::new(|| {}));
        assert!(old.iter().all(|key| slots.remove(*key).is_none()));
        assert!(slots.remove(new).is_some());
    }
}
