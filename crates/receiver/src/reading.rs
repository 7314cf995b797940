//! The receiver's one never-ending future: waits for the socket, reads into the thread's buffer, gives batches.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use actix::{ActorContext, ActorFuture, Context};
use rjabberd_transport::Read;
use rjabberd_xml::Header;

use crate::{
    COUNTERS, Drain, Phase, Receiver,
    messages::{Event, Loss},
};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

thread_local! {
    /// Every receiver of this arbiter reads into the same buffer: an idle connection owns none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since the process began, as shapers count.
pub(crate) fn now_us() -> u64 {
    us(Instant::now())
}

fn us(at: Instant) -> u64 {
    at.saturating_duration_since(*START).as_micros() as u64
}

pub(crate) struct Reading;

impl ActorFuture<Receiver> for Reading {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        receiver: &mut Receiver,
        context: &mut Context<Receiver>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        while receiver.step(task).is_ready() {}
        if matches!(receiver.phase, Phase::Done) {
            context.stop();
        }
        Poll::Pending
    }
}

impl Receiver {
    /// One step; `Ready` means that there may be another at once.
    fn step(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        match &mut self.phase {
            Phase::Waiting => self.wait(task),
            Phase::Done => Poll::Pending,
            Phase::Handshaking => self.handshake(task),
            Phase::Draining(_) => self.drain(task),
            Phase::Reading { elements_max } => {
                let elements_max = *elements_max;
                if !self.unread.is_empty() {
                    let unread = std::mem::take(&mut self.unread);
                    self.assemble(&unread, elements_max);
                    return Poll::Ready(());
                }
                self.read(task, elements_max)
            }
        }
    }

    /// Without credit: whoever gives it need not wake us while there is nothing to read. Woken by the socket, we find it
    /// in the gate.
    fn wait(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        if let Some(elements_max) = self.gate.take() {
            self.phase = Phase::Reading { elements_max };
            return Poll::Ready(());
        }
        let ready = !self.unread.is_empty() || self.poll_readable(task).is_ready();
        self.gate.set_ready(ready);
        Poll::Pending
    }

    /// Whether the socket may be read: the shaper has no pause, and there is something.
    fn poll_readable(&mut self, task: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(task));
            self.pause = None;
        }
        self.transport.poll_read_ready(task)
    }

    fn read(&mut self, task: &mut TaskContext<'_>, elements_max: usize) -> Poll<()> {
        let ready = std::task::ready!(self.poll_readable(task));
        BUFFER.with_borrow_mut(|buffer| match ready.and_then(|()| self.transport.read(buffer)) {
            Ok(Read::Nothing) => {}
            Ok(Read::Bytes(bytes)) => {
                self.charge(bytes);
                self.assemble(&buffer[..bytes], elements_max);
                if elements_max == 1 {
                    // Before login it may be a password, and the buffer is everybody's.
                    buffer[..bytes].fill(0);
                }
            }
            Ok(Read::End) => self.lose(Loss::Eof),
            Err(error) => {
                log::debug!(target: "receiver:read", "{} {error}", self.alive);
                self.lose(if is_tls(&error) { Loss::Tls } else { Loss::Broken });
            }
        });
        Poll::Ready(())
    }

    fn charge(&mut self, size: usize) {
        COUNTERS.read(size);
        let pause = self.shaper.charge(size, us(self.transport.last_read()));
        log::debug!(
            target: "shaper:update",
            "{} State: {}; Size={size}; Pause={} ms", self.alive, self.shaper, pause.as_millis()
        );
        if !pause.is_zero() {
            COUNTERS.paused(pause.as_millis() as u64);
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
    }

    /// Makes a batch of these bytes; what is behind it is kept unparsed.
    fn assemble(&mut self, mut input: &[u8], elements_max: usize) {
        let mut events = Vec::new();
        while events.len() < elements_max {
            match self.assembler.next(&mut input) {
                Ok(Some(event)) => {
                    self.log(&event);
                    // What follows a header or an end is for the c2s to judge before it is parsed.
                    let last = !matches!(event, Event::ElementRead(_));
                    events.push(event);
                    if last {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    COUNTERS.refused(&error);
                    log::debug!(target: "receiver:refused", "{} {error}", self.alive);
                    events.push(Event::Refused(error));
                    input = &[];
                    break;
                }
            }
        }
        self.unread.extend_from_slice(input);
        if !events.is_empty() {
            self.emit(events);
        }
    }

    fn log(&self, event: &Event) {
        if !log::log_enabled!(target: "receiver:read", log::Level::Debug) {
            return;
        }
        let text = match event {
            Event::HeaderRead(header) => describe_header(header),
            Event::ElementRead(fragment) => (self.describe)(fragment),
            Event::StreamEnded => "</stream:stream>".to_owned(),
            _ => return,
        };
        log::debug!(target: "receiver:read", "{} Received XML on stream = \"{text}\"", self.alive);
    }

    fn handshake(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        match std::task::ready!(self.transport.poll_handshake(task)) {
            Ok(info) => self.emit(vec![Event::TlsStarted(Box::new(info))]),
            Err(error) => {
                log::debug!(target: "receiver:handshake", "{} {error}", self.alive);
                self.lose(Loss::Tls);
            }
        }
        Poll::Ready(())
    }

    fn drain(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        let Phase::Draining(drain) = &mut self.phase else { return Poll::Ready(()) };
        let Drain { bytes_left, until } = &mut **drain;
        let mut over = until.as_mut().poll(task).is_ready();
        if !over {
            let ready = std::task::ready!(self.transport.poll_read_ready(task));
            match BUFFER.with_borrow_mut(|buffer| ready.and_then(|()| self.transport.read(buffer))) {
                Ok(Read::Nothing) => {}
                Ok(Read::Bytes(bytes)) => {
                    *bytes_left = bytes_left.saturating_sub(bytes);
                    over = *bytes_left == 0;
                }
                Ok(Read::End) | Err(_) => over = true,
            }
        }
        if over {
            self.phase = Phase::Done;
        }
        Poll::Ready(())
    }

    /// The last thing a receiver says.
    fn lose(&mut self, loss: Loss) {
        self.emit(vec![Event::Lost(loss)]);
        self.phase = Phase::Done;
    }
}

/// A stream header as the log shows it.
fn describe_header(header: &Header) -> String {
    let mut text =
        format!("<{}:{} xmlns='{}'", header.prefix, header.name, header.context.default_namespace());
    for attribute in &header.attributes {
        text.push_str(&format!(" {}='{}'", attribute.name, attribute.value));
    }
    text + ">"
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
