//! Accounts that are removed, or whose password changes.

use rjabberd_session_manager::{ClaimRefused, Control, EndAccount, Ended};

use crate::stage::{RULES, Stage, account, jid, settle};

#[actix_rt::test]
async fn all_sessions_of_a_removed_account_end() {
    let stage = Stage::new(RULES);
    let (one, other) = (stage.sits("1").await, stage.sits("2").await);
    stage
        .ports
        .end_account
        .send(EndAccount { account: account(), why: Ended::Removed, except: None, reply: None })
        .unwrap();
    settle().await;
    assert_eq!(one.control.take(), [Control::AccountRemoved]);
    assert_eq!(other.control.take(), [Control::AccountRemoved]);
}

#[actix_rt::test]
async fn the_session_that_changed_the_password_goes_on() {
    let stage = Stage::new(RULES);
    let (one, other) = (stage.sits("1").await, stage.sits("2").await);
    let end = EndAccount {
        account: account(),
        why: Ended::CredentialsChanged,
        except: Some(jid("1")),
        reply: None,
    };
    stage.ports.end_account.send(end).unwrap();
    settle().await;
    assert_eq!(one.control.take(), []);
    assert_eq!(other.control.take(), [Control::CredentialsChanged]);
}

#[actix_rt::test]
async fn a_login_that_began_before_the_account_ended_binds_nothing() {
    let stage = Stage::new(RULES);
    let before = stage.table.epoch().now();
    stage
        .ports
        .end_account
        .send(EndAccount { account: account(), why: Ended::Removed, except: None, reply: None })
        .unwrap();
    let mut late = stage.asks_at(Some("r"), 8, before);
    settle().await;
    assert!(!late.is_seated());
    assert_eq!(late.refusal(), Some(ClaimRefused::AccountGone));
    // Made anew, and logged in since.
    stage.sits("r").await;
}

#[actix_rt::test]
async fn a_login_that_waits_for_a_resource_while_its_account_ends_is_told_so() {
    let stage = Stage::new(RULES);
    let mut old = stage.sits("r").await;
    let mut waiting = stage.asks(Some("r"), 8);
    settle().await;
    stage
        .ports
        .end_account
        .send(EndAccount { account: account(), why: Ended::Removed, except: None, reply: None })
        .unwrap();
    settle().await;
    stage.hands_over(&mut old).await;
    assert!(!waiting.is_seated(), "a session of an account that is gone");
    assert_eq!(waiting.refusal(), Some(ClaimRefused::AccountGone));
    assert_eq!(stage.table.sessions(), 0);
}
