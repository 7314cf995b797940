//! The tables of appendix A of RFC 6121, row by row, pre-approval (3.4), and what holds in every state.

use proptest::prelude::*;

use super::*;

const ACTS: [Act; 4] = [Act::Subscribe, Act::Unsubscribe, Act::Subscribed, Act::Unsubscribed];

fn state(to: Half, from: Half) -> SubscriptionState {
    SubscriptionState { to, from, approved: false }
}

/// A state by its name in A.1.
fn named(name: &str) -> SubscriptionState {
    match name {
        "None" => state(Half::None, Half::None),
        "None + Pending Out" => state(Half::Pending, Half::None),
        "None + Pending In" => state(Half::None, Half::Pending),
        "None + Pending Out+In" => state(Half::Pending, Half::Pending),
        "To" => state(Half::Granted, Half::None),
        "To + Pending In" => state(Half::Granted, Half::Pending),
        "From" => state(Half::None, Half::Granted),
        "From + Pending Out" => state(Half::Pending, Half::Granted),
        "Both" => state(Half::Granted, Half::Granted),
        _ => panic!("{name} is no state"),
    }
}

/// The nine states in the order of A.1, which is that of the rows of each table.
const STATES: [&str; 9] = [
    "None",
    "None + Pending Out",
    "None + Pending In",
    "None + Pending Out+In",
    "To",
    "To + Pending In",
    "From",
    "From + Pending Out",
    "Both",
];

/// A table of A.2: for each existing state, whether the stanza is routed, and the new state, where there is one.
#[track_caller]
fn check_outbound(act: Act, table: [(&str, &str, Option<&str>); 9]) {
    assert_eq!(table.map(|(existing, ..)| existing), STATES);
    for (existing, routed, new) in table {
        let expected = Outbound { state: named(new.unwrap_or(existing)), route: routed == "MUST" };
        assert_eq!(named(existing).outbound(act), expected, "{existing}");
    }
}

/// A table of A.3: for each existing state, whether the stanza is delivered, the new state, where there is one, and what
/// the server answers.
#[track_caller]
fn check_inbound(act: Act, table: [(&str, &str, Option<&str>, Option<Act>); 9]) {
    assert_eq!(table.map(|(existing, ..)| existing), STATES);
    for (existing, delivered, new, reply) in table {
        let state = named(new.unwrap_or(existing));
        let expected = Inbound { state, deliver: delivered == "MUST", reply };
        assert_eq!(named(existing).inbound(act), expected, "{existing}");
    }
}

#[test]
fn table_2_outbound_subscribe() {
    check_outbound(
        Act::Subscribe,
        [
            ("None", "MUST", Some("None + Pending Out")),
            ("None + Pending Out", "MUST", None),
            ("None + Pending In", "MUST", Some("None + Pending Out+In")),
            ("None + Pending Out+In", "MUST", None),
            ("To", "MUST", None),
            ("To + Pending In", "MUST", None),
            ("From", "MUST", Some("From + Pending Out")),
            ("From + Pending Out", "MUST", None),
            ("Both", "MUST", None),
        ],
    );
}

#[test]
fn table_3_outbound_unsubscribe() {
    check_outbound(
        Act::Unsubscribe,
        [
            ("None", "MUST", None),
            ("None + Pending Out", "MUST", Some("None")),
            ("None + Pending In", "MUST", None),
            ("None + Pending Out+In", "MUST", Some("None + Pending In")),
            ("To", "MUST", Some("None")),
            ("To + Pending In", "MUST", Some("None + Pending In")),
            ("From", "MUST", None),
            ("From + Pending Out", "MUST", Some("From")),
            ("Both", "MUST", Some("From")),
        ],
    );
}

#[test]
fn table_4_outbound_subscribed() {
    let approved = |existing: &str| SubscriptionState { approved: true, ..named(existing) };
    for existing in ["None", "None + Pending Out", "To"] {
        let expected = Outbound { state: approved(existing), route: false };
        assert_eq!(named(existing).outbound(Act::Subscribed), expected, "{existing}: pre-approval");
        assert_eq!(approved(existing).outbound(Act::Subscribed), expected, "{existing}: approved already");
    }
    for (existing, routed, new) in [
        ("None + Pending In", "MUST", Some("From")),
        ("None + Pending Out+In", "MUST", Some("From + Pending Out")),
        ("To + Pending In", "MUST", Some("Both")),
        ("From", "M.N.", None),
        ("From + Pending Out", "M.N.", None),
        ("Both", "M.N.", None),
    ] {
        let expected = Outbound { state: named(new.unwrap_or(existing)), route: routed == "MUST" };
        assert_eq!(named(existing).outbound(Act::Subscribed), expected, "{existing}");
    }
}

#[test]
fn table_5_outbound_unsubscribed() {
    check_outbound(
        Act::Unsubscribed,
        [
            ("None", "S.N.", None),
            ("None + Pending Out", "S.N.", None),
            ("None + Pending In", "MUST", Some("None")),
            ("None + Pending Out+In", "MUST", Some("None + Pending Out")),
            ("To", "S.N.", None),
            ("To + Pending In", "MUST", Some("To")),
            ("From", "MUST", Some("None")),
            ("From + Pending Out", "MUST", Some("None + Pending Out")),
            ("Both", "MUST", Some("To")),
        ],
    );
}

#[test]
fn table_6_inbound_subscribe() {
    check_inbound(
        Act::Subscribe,
        [
            ("None", "MUST", Some("None + Pending In"), None),
            ("None + Pending Out", "MUST", Some("None + Pending Out+In"), None),
            ("None + Pending In", "S.N.", None, None),
            ("None + Pending Out+In", "S.N.", None, None),
            ("To", "MUST", Some("To + Pending In"), None),
            ("To + Pending In", "S.N.", None, None),
            ("From", "S.N.", None, Some(Act::Subscribed)),
            ("From + Pending Out", "S.N.", None, Some(Act::Subscribed)),
            ("Both", "S.N.", None, Some(Act::Subscribed)),
        ],
    );
}

#[test]
fn table_7_inbound_unsubscribe() {
    let reply = Some(Act::Unsubscribed);
    check_inbound(
        Act::Unsubscribe,
        [
            ("None", "S.N.", None, None),
            ("None + Pending Out", "S.N.", None, None),
            ("None + Pending In", "MUST", Some("None"), reply),
            ("None + Pending Out+In", "MUST", Some("None + Pending Out"), reply),
            ("To", "S.N.", None, None),
            ("To + Pending In", "MUST", Some("To"), reply),
            ("From", "MUST", Some("None"), reply),
            ("From + Pending Out", "MUST", Some("None + Pending Out"), reply),
            ("Both", "MUST", Some("To"), reply),
        ],
    );
}

#[test]
fn table_8_inbound_subscribed() {
    check_inbound(
        Act::Subscribed,
        [
            ("None", "S.N.", None, None),
            ("None + Pending Out", "MUST", Some("To"), None),
            ("None + Pending In", "S.N.", None, None),
            ("None + Pending Out+In", "MUST", Some("To + Pending In"), None),
            ("To", "S.N.", None, None),
            ("To + Pending In", "S.N.", None, None),
            ("From", "S.N.", None, None),
            ("From + Pending Out", "MUST", Some("Both"), None),
            ("Both", "S.N.", None, None),
        ],
    );
}

#[test]
fn table_9_inbound_unsubscribed() {
    check_inbound(
        Act::Unsubscribed,
        [
            ("None", "S.N.", None, None),
            ("None + Pending Out", "MUST", Some("None"), None),
            ("None + Pending In", "S.N.", None, None),
            ("None + Pending Out+In", "MUST", Some("None + Pending In"), None),
            ("To", "MUST", Some("None"), None),
            ("To + Pending In", "MUST", Some("None + Pending In"), None),
            ("From", "S.N.", None, None),
            ("From + Pending Out", "MUST", Some("From"), None),
            ("Both", "MUST", Some("From"), None),
        ],
    );
}

/// RFC 6121, 3.4.2: the flag answers the request in the user's place, which uses it up.
#[test]
fn a_request_that_was_approved_is_answered_and_not_delivered() {
    for (existing, new) in [("None", "From"), ("None + Pending Out", "From + Pending Out"), ("To", "Both")] {
        let approved = SubscriptionState { approved: true, ..named(existing) };
        let expected = Inbound { state: named(new), deliver: false, reply: Some(Act::Subscribed) };
        assert_eq!(approved.inbound(Act::Subscribe), expected, "{existing}");
    }
}

/// RFC 6121, 3.2.2, 2: cancelling an approval concerns nobody else.
#[test]
fn an_approval_is_cancelled_without_a_word_to_the_contact() {
    for existing in ["None", "None + Pending Out", "To"] {
        let approved = SubscriptionState { approved: true, ..named(existing) };
        let expected = Outbound { state: named(existing), route: false };
        assert_eq!(approved.outbound(Act::Unsubscribed), expected, "{existing}");
    }
}

/// An approval concerns the contact's requests only: what else happens is as without it.
#[test]
fn an_approval_stays_through_whatever_does_not_concern_it() {
    for existing in ["None", "None + Pending Out", "To"] {
        let plain = named(existing);
        let approved = SubscriptionState { approved: true, ..plain };
        for act in [Act::Subscribe, Act::Unsubscribe] {
            let Outbound { state, route } = plain.outbound(act);
            let expected = Outbound { state: SubscriptionState { approved: true, ..state }, route };
            assert_eq!(approved.outbound(act), expected, "{existing}, {act:?} sent");
        }
        for act in [Act::Unsubscribe, Act::Subscribed, Act::Unsubscribed] {
            let Inbound { state, deliver, reply } = plain.inbound(act);
            let expected = Inbound { state: SubscriptionState { approved: true, ..state }, deliver, reply };
            assert_eq!(approved.inbound(act), expected, "{existing}, {act:?} received");
        }
    }
}

/// A step of a conversation: who sends (the user or the contact), and what.
fn steps() -> impl Strategy<Value = Vec<(bool, Act)>> {
    proptest::collection::vec((any::<bool>(), proptest::sample::select(&ACTS[..])), 0..30)
}

proptest! {
    #[test]
    fn an_approval_stands_only_where_the_contact_neither_is_subscribed_nor_asks(steps in steps()) {
        let mut state = SubscriptionState::default();
        for (is_users, act) in steps {
            state = if is_users { state.outbound(act).state } else { state.inbound(act).state };
            prop_assert!(!state.approved || state.from == Half::None, "{state:?}");
        }
    }

    #[test]
    fn nothing_is_delivered_without_a_change_and_no_answer_is_answered(steps in steps()) {
        let mut state = SubscriptionState::default();
        for (is_users, act) in steps {
            let inbound = state.inbound(act);
            prop_assert!(!inbound.deliver || inbound.state != state, "{state:?}, {act:?}");
            prop_assert!(inbound.reply.is_none_or(|reply| state.inbound(reply).reply.is_none()));
            prop_assert_eq!(inbound.state.inbound(act).state, inbound.state, "doing it twice is doing it once");
            state = if is_users { state.outbound(act).state } else { inbound.state };
            prop_assert_eq!(state.outbound(act).state.outbound(act).state, state.outbound(act).state);
        }
    }

    #[test]
    fn between_two_accounts_what_one_has_to_the_other_has_from(steps in steps()) {
        let mut sides = [SubscriptionState::default(); 2];
        for (is_users, act) in steps {
            let (sender, receiver) = if is_users { (0, 1) } else { (1, 0) };
            let outbound = sides[sender].outbound(act);
            sides[sender] = outbound.state;
            if outbound.route {
                let inbound = sides[receiver].inbound(act);
                sides[receiver] = inbound.state;
                if let Some(reply) = inbound.reply {
                    sides[sender] = sides[sender].inbound(reply).state;
                }
            }
            prop_assert_eq!((sides[0].to, sides[0].from), (sides[1].from, sides[1].to));
        }
    }
}

#[test]
fn the_attributes_of_an_item_are_those_of_its_state() {
    for (name, subscription, asks) in [
        ("None", "none", false),
        ("None + Pending Out", "none", true),
        ("None + Pending In", "none", false),
        ("None + Pending Out+In", "none", true),
        ("To", "to", false),
        ("To + Pending In", "to", false),
        ("From", "from", false),
        ("From + Pending Out", "from", true),
        ("Both", "both", false),
    ] {
        let state = named(name);
        assert_eq!((state.subscription().name(), state.asks()), (subscription, asks), "{name}");
        assert_eq!(state.is_nothing(), name == "None");
    }
    assert!(!SubscriptionState { approved: true, ..named("None") }.is_nothing());
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
