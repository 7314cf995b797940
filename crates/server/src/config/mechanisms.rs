//! `auth.mechanisms`: which names may stand in it, and which of them together.

use rjabberd_xmpp::sasl::{Mechanism, ScramHash};

use super::hosts::below;
use super::suggestion;
use super::values::{Found, Values};

/// The names that may stand in the list, strongest first.
const NAMES: [&str; 7] =
    ["EXTERNAL", "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "DIGEST-MD5", "ANONYMOUS"];

/// The mechanisms of a host.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) list: Vec<Mechanism>,
    /// Where they were written; `None` where nobody chose.
    pub(super) found: Option<Found<Vec<String>>>,
}

impl Default for Chosen {
    fn default() -> Chosen {
        let scram = [ScramHash::Sha512, ScramHash::Sha256, ScramHash::Sha1].map(Mechanism::Scram);
        Chosen { list: scram.into_iter().chain([Mechanism::Plain]).collect(), found: None }
    }
}

/// What was chosen below a table, if anything; faults are noted in `values`.
pub(super) fn chosen(values: &mut Values, table: &[&str]) -> Option<Chosen> {
    let found = values.texts(&below(table, &["auth", "mechanisms"]))?;
    let mut list = Vec::new();
    let mut all_known = true;
    for name in &found.value {
        match known(name) {
            Ok(mechanism) if list.contains(&mechanism) => {
                values.fault_in(&found, &format!("{name:?} is there twice"));
            }
            Ok(mechanism) => list.push(mechanism),
            Err(text) => {
                all_known = false;
                values.fault_in(&found, &text);
            }
        }
    }
    let is_enough = list == [Mechanism::Anonymous]
        || list.iter().any(|mechanism| matches!(mechanism, Mechanism::Scram(_)));
    if all_known && !is_enough {
        let text = "name at least one SCRAM mechanism, or \"ANONYMOUS\" alone: only SCRAM keys are stored, never a password";
        values.fault_in(&found, text);
    }
    Some(Chosen { list, found: Some(found) })
}

fn known(name: &str) -> Result<Mechanism, String> {
    match Mechanism::from_name(name) {
        Some(Mechanism::ScramPlus(_)) => {
            let plain = name.trim_end_matches("-PLUS");
            Err(format!("{name:?} comes with {plain:?} wherever there is TLS to bind to: write only that"))
        }
        Some(Mechanism::Token(_)) => {
            Err(format!("{name:?} is for tokens, which the server offers by itself: delete it"))
        }
        Some(mechanism) => Ok(mechanism),
        None => {
            let question = suggestion::question(name, NAMES);
            Err(format!("{name:?} is not one of {}{question}", NAMES.join(", ")))
        }
    }
}
