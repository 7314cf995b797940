//! Random interleavings of senders, claims, resumptions, hand-overs (answered, late, never), endings and writing: every parcel is
//! written, comes back or is handed on, exactly once, and in order of its sender.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;

use crate::stage::{RULES, Session, Stage, jid, pass, settle};
use rjabberd_session_manager::{Control, Rules};
use rjabberd_xmpp::management::ResumptionId;

/// By what every session can be resumed.
const ID: ResumptionId = ResumptionId([7; 16]);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A sender sends one parcel.
    Send { sender: usize },
    /// The actors of this thread run.
    Run,
    /// Somebody wants the resource; its mailbox takes so many.
    Claim { depth_max: usize },
    /// Somebody wants the session that is there to go on.
    Resume { depth_max: usize },
    /// A session writes to its client what it has.
    Write { session: usize },
    /// A session that was asked for its resource hands it over.
    HandOver { session: usize },
    /// Time passes: who has not handed over by then has lost the resource.
    Pass,
    /// A session ends by itself.
    End { session: usize },
    /// A client goes away while it waits for the resource, or its session is dropped where it stands.
    Vanish { session: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0usize..2).prop_map(|sender| Step::Send { sender }),
        4 => Just(Step::Run),
        3 => (1usize..5).prop_map(|depth_max| Step::Claim { depth_max }),
        3 => (1usize..5).prop_map(|depth_max| Step::Resume { depth_max }),
        6 => (0usize..8).prop_map(|session| Step::Write { session }),
        4 => (0usize..8).prop_map(|session| Step::HandOver { session }),
        1 => Just(Step::Pass),
        1 => (0usize..8).prop_map(|session| Step::End { session }),
        1 => (0usize..8).prop_map(|session| Step::Vanish { session }),
    ];
    prop::collection::vec(step, 1..120)
}

/// One session of the play.
struct Player {
    session: Session,
    asked: bool,
    /// Handed over, ended or gone.
    over: bool,
    written: Vec<String>,
}

struct Play {
    stage: Stage,
    players: Vec<Player>,
    sent: [usize; 2],
    /// In the order in which all sessions wrote.
    written: Vec<String>,
    /// A resource was taken without a hand-over: then only what one session wrote is in order.
    forced: bool,
}

impl Play {
    fn new() -> Play {
        let rules = Rules { spill_bytes_max: 2_000, sessions_per_account_max: 100, ..RULES };
        Play {
            stage: Stage::new(rules),
            players: Vec::new(),
            sent: [0; 2],
            written: Vec::new(),
            forced: false,
        }
    }

    fn look(&mut self, index: usize) -> Option<&mut Player> {
        let count = self.players.len();
        if count == 0 {
            return None;
        }
        let player = &mut self.players[index % count];
        if player.session.is_seated()
            && let Some(seat) = &player.session.seat
        {
            seat.set_resumption(Some(ID));
        }
        // Nobody was there any more.
        player.over |= player.session.refusal().is_some();
        (!player.over).then_some(player)
    }

    fn write(&mut self, index: usize) {
        let Some(player) = self.look(index) else { return };
        if player.session.seat.is_none() || player.asked {
            return;
        }
        // A session that is asked for its resource stops writing at that moment.
        if let Some(asked) = peek_hand_over(&mut player.session) {
            player.asked = asked;
            if asked {
                return;
            }
        }
        let mut written = player.session.retransmits();
        written.extend(player.session.writes());
        player.written.extend(written.iter().cloned());
        self.written.extend(written);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Send { sender } => {
                let id = format!("{sender}:{}", self.sent[sender]);
                self.sent[sender] += 1;
                self.stage.sends(&jid("r"), &id);
            }
            Step::Run => settle().await,
            Step::Claim { depth_max } => {
                let session = self.stage.asks(Some("r"), depth_max);
                self.players.push(Player { session, asked: false, over: false, written: Vec::new() });
            }
            Step::Resume { depth_max } => {
                let session = self.stage.resumes(ID, depth_max);
                self.players.push(Player { session, asked: false, over: false, written: Vec::new() });
            }
            Step::Write { session } => self.write(session),
            Step::HandOver { session } => {
                let Some(player) = self.look(session) else { return };
                if player.session.seat.is_none() {
                    return;
                }
                player.asked |= peek_hand_over(&mut player.session).unwrap_or(false);
                if !player.asked {
                    return;
                }
                player.over = true;
                let index = session % self.players.len();
                let mut player = self.players.remove(index);
                self.stage.hands_over(&mut player.session).await;
                self.players.insert(index, player);
            }
            Step::Pass => {
                settle().await;
                for player in &mut self.players {
                    player.session.is_seated();
                }
                let waiting = self.players.iter().any(|player| player.session.seat.is_none() && !player.over);
                self.forced |= waiting;
                pass(Duration::from_millis(1200)).await;
            }
            Step::End { session } => self.end(session).await,
            Step::Vanish { session } => {
                let Some(player) = self.look(session) else { return };
                player.over = true;
                let index = session % self.players.len();
                let player = self.players.remove(index);
                if let Some(seat) = &player.session.seat {
                    // As the c2s' drop does: no waiting for an answer.
                    seat.hold();
                    let spill = seat.close();
                    let release = rjabberd_session_manager::Release { seat: seat.clone(), reply: None };
                    self.stage.ports.release.send(release).unwrap();
                    drop(player);
                    drop(spill);
                    self.forced = true;
                } else {
                    drop(player);
                }
            }
        }
    }

    async fn end(&mut self, index: usize) {
        let Some(player) = self.look(index) else { return };
        let Some(seat) = player.session.seat.clone() else { return };
        player.over = true;
        seat.hold();
        settle().await;
        self.stage.releases(&seat).await;
        let index = index % self.players.len();
        let session = &mut self.players[index].session;
        drop(session.handed.take());
        let leftover = session.inbox.take();
        leftover.into_iter().for_each(drop);
        seat.close().into_iter().for_each(drop);
    }

    /// Everybody goes home.
    async fn finish(&mut self) {
        for _ in 0..=self.players.len() {
            pass(Duration::from_millis(1200)).await;
        }
        for index in 0..self.players.len() {
            self.end(index).await;
            settle().await;
        }
        self.players.retain_mut(|player| {
            player.session.is_seated();
            !player.over && player.session.refusal().is_none()
        });
        assert!(self.players.is_empty(), "{} sessions were never seated", self.players.len());
        settle().await;
        assert_eq!(self.stage.table.sessions(), 0);
    }
}

/// Whether the session was told to hand over; other control is put where [`Session::writes`] finds it.
fn peek_hand_over(session: &mut Session) -> Option<bool> {
    let control = session.control.take();
    if control.contains(&Control::SpillReady)
        && let Some(seat) = &session.seat
    {
        seat.heard();
    }
    Some(control.contains(&Control::HandOver))
}

fn numbers(ids: &[String], sender: usize) -> Vec<usize> {
    let of_sender = ids.iter().filter_map(|id| id.split_once(':'));
    of_sender
        .filter(|(name, _)| *name == sender.to_string())
        .map(|(_, number)| number.parse().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_parcel_is_written_or_comes_back_exactly_once_in_order(steps in steps()) {
        actix_rt::System::new().block_on(async {
            let mut play = Play::new();
            for step in &steps {
                play.step(*step).await;
            }
            play.finish().await;
            let (sent, forced) = (play.sent, play.forced);
            let written = std::mem::take(&mut play.written);
            let back = play.stage.back;
            let players = std::mem::take(&mut play.players);
            drop(play);
            settle().await;
            let back = back.ids();
            let mut fates: HashMap<&String, usize> = HashMap::new();
            for id in written.iter().chain(&back) {
                *fates.entry(id).or_default() += 1;
            }
            for (sender, sent) in sent.iter().enumerate() {
                for number in 0..*sent {
                    let id = format!("{sender}:{number}");
                    prop_assert_eq!(fates.get(&id).copied().unwrap_or(0), 1, "{} of {:?}", id, steps);
                }
                if !forced {
                    prop_assert!(numbers(&written, sender).is_sorted(), "out of order: {:?}", written);
                }
                for player in &players {
                    prop_assert!(numbers(&player.written, sender).is_sorted());
                }
            }
            Ok(())
        })?;
    }
}
