use super::*;

fn state(to: Half, from: Half) -> SubscriptionState {
    SubscriptionState { to, from, approved: false }
}

#[test]
fn contacts_without_a_subscription_are_not_kept_and_the_others_are_found() {
    let item = |jid: &str, to, from| {
        let mut item = RosterItem::new(BareJid::new(jid).unwrap());
        item.state = state(to, from);
        item
    };
    let items = [
        item("c@x", Half::Granted, Half::Granted),
        item("a@x", Half::Pending, Half::Pending),
        item("b@x", Half::None, Half::Granted),
    ];
    let contacts = Contacts::new(&items);
    let jid = |text: &str| BareJid::new(text).unwrap();
    assert!(contacts.sees(&jid("b@x")) && contacts.sees(&jid("c@x")) && !contacts.sees(&jid("a@x")));
    assert_eq!(contacts.watched().map(|jid| jid.as_str()).collect::<Vec<_>>(), ["c@x"]);
    let contacts = contacts
        .with(&jid("a@x"), state(Half::None, Half::Granted))
        .with(&jid("b@x"), state(Half::None, Half::None));
    assert_eq!(contacts.watchers().map(|jid| jid.as_str()).collect::<Vec<_>>(), ["a@x", "c@x"]);
}
