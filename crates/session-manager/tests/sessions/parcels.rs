//! A parcel is delivered, or it comes back: once.

use crate::stage::{Back, parcel};

#[test]
fn a_parcel_that_all_drop_comes_back_once() {
    let back = Back::new();
    let first = parcel(back, "a");
    let (second, third) = (first.clone(), first.clone());
    drop(first);
    drop(third);
    assert_eq!(back.ids(), Vec::<String>::new(), "one still has it");
    drop(second);
    assert_eq!(back.ids(), ["a"]);
}

#[test]
fn a_parcel_that_one_of_several_delivered_does_not_come_back() {
    let back = Back::new();
    let copies = vec![parcel(back, "a"); 3];
    copies[1].delivered();
    drop(copies);
    assert_eq!(back.ids(), Vec::<String>::new());
}

#[test]
fn a_parcel_that_several_threads_drop_comes_back_once() {
    for _ in 0..200 {
        let back = Back::new();
        let first = parcel(back, "a");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let copy = first.clone();
                scope.spawn(move || drop(copy));
            }
        });
        drop(first);
        assert_eq!(back.ids(), ["a"]);
    }
}
