//! What a listener takes.

use rjabberd_actors::Letter;

/// Close the listening socket; connections that were accepted go on.
#[derive(Clone, Copy, Debug)]
pub struct StopAccepting;

impl Letter for StopAccepting {
    const CONTROL: bool = true;
}
