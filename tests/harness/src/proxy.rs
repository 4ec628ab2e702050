//! A TCP proxy between clients and a broker that can tell Kafka's requests apart and does bad things to them.
//!
//! It reads frames (a length, then that many bytes) and of a request only its kind and correlation id: enough to
//! hold back the end of a transaction, to lose its answer, or to leave a connection half open.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::dice::Dice;

/// Kafka's number of the request that commits or aborts a transaction.
pub const END_TXN: i16 = 26;
/// Kafka's number of the request that puts offsets into a transaction.
pub const TXN_OFFSET_COMMIT: i16 = 28;
/// Kafka's number of the request with which a producer begins.
pub const INIT_PRODUCER_ID: i16 = 22;
/// Kafka's number of the request that writes records.
pub const PRODUCE: i16 = 0;

/// Kafka's number of the request for brokers and topics.
pub const METADATA: i16 = 3;
/// Kafka's number of the request with which a member takes part in a rebalance.
pub const JOIN_GROUP: i16 = 11;
/// Kafka's number of the request with which a member asks for what the rebalance gives it.
pub const SYNC_GROUP: i16 = 14;

/// Above everything that a broker with default limits sends or takes (`socket.request.max.bytes`).
const FRAME_LIMIT_BYTES: usize = 100 << 20;
/// Length, kind, version and correlation id.
const REQUEST_HEADER_BYTES: usize = 8;

/// A broker answers a request that was held back within this time, or it never will.
const RELEASE_LIMIT: Duration = Duration::from_secs(20);

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mischief {
    /// It and everything after it on its connection reaches the broker so much later.
    DelayRequest(Duration),
    /// Its answer, and everything behind that, reaches the client so much later.
    DelayAnswer(Duration),
    /// The connection is cut, the broker never sees it.
    CutBefore,
    /// The connection is cut once the broker has answered: the client never learns what.
    CutAfter,
    /// The broker sees it; the client is told that nothing more will come, and may still write.
    HalfClose,
    /// Nothing goes either way for so long, then the connection is cut.
    Hang(Duration),
    /// Its answer names no brokers, as that of a broker does that has only just started. Only for [`METADATA`].
    NameNoBrokers,
}

/// A request of this kind (`None`: of any kind) meets this mischief `per_mille` times in a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Kafka's number of the request.
    pub kind: Option<i16>,
    /// How often.
    pub per_mille: u64,
    /// What.
    pub mischief: Mischief,
}

/// A proxy on a port of its own; gone when dropped, its connections cut.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// 0: nowhere yet.
    target: AtomicU16,
    closed: AtomicBool,
    plan: Mutex<Plan>,
    streams: Mutex<Vec<TcpStream>>,
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug)]
struct Plan {
    rules: Vec<Rule>,
    dice: Dice,
    done: u64,
}

/// Requests that are held back.
#[derive(Debug, Default)]
struct Held {
    /// The kind of those that are to be held back next, and how many.
    next: Option<(i16, usize)>,
    /// Those that have no answer yet.
    waiting: usize,
    /// They go to the broker.
    released: bool,
}

impl Proxy {
    /// Listens; connections are refused until [`Proxy::connect_to`].
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        let plan = Plan { rules: Vec::new(), dice: Dice::new(seed), done: 0 };
        let shared = Arc::new(Shared {
            target: AtomicU16::new(0),
            closed: AtomicBool::new(false),
            plan: Mutex::new(plan),
            streams: Mutex::default(),
            held: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    /// From now on connections go to this port of 127.0.0.1.
    pub fn connect_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::Relaxed);
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Requests are treated by these rules from now on; the first that hits counts.
    pub fn misbehave(&self, rules: &[Rule]) {
        lock(&self.shared.plan).rules = rules.to_vec();
    }

    /// Everything passes from now on; what is being held ends by itself.
    pub fn behave(&self) {
        self.misbehave(&[]);
    }

    /// The next `count` requests of this kind are held back: each one's connection is cut at the client's side, and the
    /// broker gets it with [`Proxy::release`], as if it had been under way for so long.
    pub fn hold_back(&self, kind: i16, count: usize) {
        lock(&self.shared.held).next = Some((kind, count));
    }

    /// Requests that are held back.
    pub fn held(&self) -> usize {
        lock(&self.shared.held).waiting
    }

    /// Lets the broker have what is held back, and waits for its answers; holds nothing back any more.
    ///
    /// # Panics
    /// When it does not answer within 20 s.
    pub fn release(&self) {
        let mut held = lock(&self.shared.held);
        (held.next, held.released) = (None, true);
        self.shared.changed.notify_all();
        let unanswered = |held: &mut Held| held.waiting > 0;
        let waited = self.shared.changed.wait_timeout_while(held, RELEASE_LIMIT, unanswered);
        let (mut held, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        held.released = false;
        assert!(!timeout.timed_out(), "{} requests that were held back have no answer", held.waiting);
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for stream in lock(&self.shared.streams).drain(..) {
            cut(&stream);
        }
    }

    /// Requests that have met some mischief.
    pub fn done(&self) -> u64 {
        lock(&self.shared.plan).done
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        self.cut_all();
        // Accepting ends with the next connection: this one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn is_held_back(&self, kind: i16) -> bool {
        let mut held = lock(&self.held);
        let Some((_, count)) = held.next.as_mut().filter(|(next, count)| *next == kind && *count > 0) else {
            return false;
        };
        *count -= 1;
        held.waiting += 1;
        true
    }

    /// Returns once requests that are held back may go on.
    fn await_release(&self) {
        let is_held = |held: &mut Held| !held.released && !self.closed.load(Ordering::Relaxed);
        let waited = self.changed.wait_while(lock(&self.held), is_held);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn answered(&self) {
        lock(&self.held).waiting -= 1;
        self.changed.notify_all();
    }

    fn choose(&self, kind: i16) -> Option<Mischief> {
        let mut plan = lock(&self.plan);
        let Plan { rules, dice, done } = &mut *plan;
        let fits = |rule: &&Rule| rule.kind.is_none_or(|wanted| wanted == kind);
        let hit = rules.iter().filter(fits).find(|rule| dice.happens(rule.per_mille))?;
        *done += 1;
        Some(hit.mischief)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.target.load(Ordering::Relaxed)));
        // A broker that is not there is for the client to see: its connection ends at once.
        let Ok(broker) = TcpStream::connect_timeout(&broker, Duration::from_secs(2)) else { continue };
        if let Ok(pair) = Pair::new(client, broker, shared) {
            pair.start(shared);
        }
    }
}

/// The two connections of one client.
#[derive(Debug)]
struct Pair {
    client: TcpStream,
    broker: TcpStream,
    /// What becomes of the answers with these correlation ids.
    answers: Mutex<HashMap<i32, Mischief>>,
    /// Nothing goes to the client any more.
    hanging: AtomicBool,
    /// The correlation id of the request that is held back.
    held: Mutex<Option<i32>>,
}

impl Pair {
    fn new(client: TcpStream, broker: TcpStream, shared: &Shared) -> io::Result<Self> {
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let mut streams = lock(&shared.streams);
        // Those that have ended have no peer any more.
        streams.retain(|stream| stream.peer_addr().is_ok());
        streams.extend([client.try_clone()?, broker.try_clone()?]);
        let hanging = AtomicBool::new(false);
        Ok(Self { client, broker, answers: Mutex::default(), hanging, held: Mutex::default() })
    }

    fn start(self, shared: &Arc<Shared>) {
        let pair = Arc::new(self);
        let (up, asking, answering) = (Arc::clone(&pair), Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || {
            let _ = up.requests(&asking);
            if lock(&up.held).is_none() {
                cut(&up.broker);
            }
        });
        std::thread::spawn(move || {
            let _ = pair.answers(&answering);
            cut(&pair.client);
        });
    }

    fn requests(&self, shared: &Shared) -> io::Result<()> {
        loop {
            let frame = frame(&self.client)?;
            let Some(header) = frame.get(4..4 + REQUEST_HEADER_BYTES) else { return Ok(()) };
            let kind = i16::from_be_bytes([header[0], header[1]]);
            let correlation = i32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            if shared.is_held_back(kind) {
                return self.hold_back(&frame, correlation, shared);
            }
            match shared.choose(kind) {
                None => {}
                Some(Mischief::DelayRequest(delay)) => pause(delay),
                Some(
                    mischief @ (Mischief::DelayAnswer(_) | Mischief::CutAfter | Mischief::NameNoBrokers),
                ) => {
                    lock(&self.answers).insert(correlation, mischief);
                }
                Some(Mischief::CutBefore) => return self.cut(),
                Some(Mischief::HalfClose) => {
                    // Before the broker can answer.
                    self.client.shutdown(Shutdown::Write)?;
                    (&self.broker).write_all(&frame)?;
                    continue;
                }
                Some(Mischief::Hang(time)) => {
                    self.hanging.store(true, Ordering::Relaxed);
                    pause(time);
                    return self.cut();
                }
            }
            (&self.broker).write_all(&frame)?;
        }
    }

    /// The client is gone; the broker's side lives on until it has answered.
    fn hold_back(&self, request: &[u8], correlation: i32, shared: &Shared) -> io::Result<()> {
        self.hanging.store(true, Ordering::Relaxed);
        *lock(&self.held) = Some(correlation);
        cut(&self.client);
        shared.await_release();
        (&self.broker).write_all(request)
    }

    fn answers(&self, shared: &Shared) -> io::Result<()> {
        loop {
            let mut frame = frame(&self.broker)?;
            let Some(id) = frame.get(4..8) else { return Ok(()) };
            let correlation = i32::from_be_bytes([id[0], id[1], id[2], id[3]]);
            if *lock(&self.held) == Some(correlation) {
                shared.answered();
                return self.cut();
            }
            let mischief = lock(&self.answers).remove(&correlation);
            match mischief {
                Some(Mischief::DelayAnswer(delay)) => pause(delay),
                Some(Mischief::NameNoBrokers) => {
                    frame =
                        without_brokers(&frame).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
                }
                Some(_) => return self.cut(),
                None => {}
            }
            // What hangs is cut by the other direction.
            if !self.hanging.load(Ordering::Relaxed) {
                (&self.client).write_all(&frame)?;
            }
        }
    }

    fn cut(&self) -> io::Result<()> {
        cut(&self.client);
        cut(&self.broker);
        Ok(())
    }
}

/// One frame with its length in front.
fn frame(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let body = u32::from_be_bytes(length) as usize;
    if body > FRAME_LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {body} bytes")));
    }
    let mut frame = vec![0; 4 + body];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// An answer to [`METADATA`] with its list of brokers emptied; none if it is not of version 9 to 13.
fn without_brokers(frame: &[u8]) -> Option<Vec<u8>> {
    // Length, correlation id, no tagged fields, throttle time.
    let (head, mut rest) = frame.split_at_checked(4 + 4 + 1 + 4)?;
    for _ in 1..varint(&mut rest)? {
        skip(&mut rest, 4)?;
        let host = varint(&mut rest)?.checked_sub(1)?;
        skip(&mut rest, host + 4)?;
        let rack = varint(&mut rest)?.saturating_sub(1);
        skip(&mut rest, rack)?;
        for _ in 0..varint(&mut rest)? {
            varint(&mut rest)?;
            let field = varint(&mut rest)?;
            skip(&mut rest, field)?;
        }
    }
    let mut emptied = [head, &[1], rest].concat();
    let length = u32::try_from(emptied.len() - 4).ok()?;
    emptied[..4].copy_from_slice(&length.to_be_bytes());
    Some(emptied)
}

/// Kafka's unsigned number of variable length, at the front of `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn skip(bytes: &mut &[u8], count: usize) -> Option<()> {
    *bytes = bytes.get(count..)?;
    Some(())
}

fn cut(stream: &TcpStream) {
    // It may be gone already.
    let _ = stream.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "a delay is what is being made")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A server that sends every frame back, and a proxy in front of it.
    fn echo() -> (Proxy, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in server.incoming() {
                let client = client.unwrap();
                std::thread::spawn(move || {
                    while let Ok(frame) = frame(&client) {
                        // The correlation id first, as in an answer.
                        let answer = [&8_u32.to_be_bytes()[..], &frame[8..12], &frame[4..8]].concat();
                        if (&client).write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let proxy = Proxy::start(1);
        proxy.connect_to(target);
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (proxy, client)
    }

    fn ask(mut client: &TcpStream, kind: i16) -> io::Result<Vec<u8>> {
        let request =
            [&8_u32.to_be_bytes()[..], &kind.to_be_bytes(), &[0, 1], &77_u32.to_be_bytes()].concat();
        client.write_all(&request)?;
        frame(client)
    }

    #[test]
    fn only_the_named_request_meets_mischief() {
        let always = |mischief| Rule { kind: Some(END_TXN), per_mille: 1_000, mischief };
        let delay = Duration::from_millis(120);
        for mischief in [Mischief::DelayAnswer(delay), Mischief::DelayRequest(delay)] {
            let (proxy, client) = echo();
            proxy.misbehave(&[always(mischief)]);
            assert!(ask(&client, PRODUCE).is_ok());
            assert_eq!(proxy.done(), 0);
            let began = Instant::now();
            assert!(ask(&client, END_TXN).is_ok());
            assert!(began.elapsed() >= delay, "{mischief:?}");
            assert_eq!(proxy.done(), 1);
        }
        let cuts = [Mischief::CutBefore, Mischief::CutAfter, Mischief::HalfClose, Mischief::Hang(delay)];
        for mischief in cuts {
            let (proxy, client) = echo();
            proxy.misbehave(&[always(mischief)]);
            assert!(ask(&client, PRODUCE).is_ok());
            assert!(ask(&client, END_TXN).is_err(), "{mischief:?}");
            proxy.behave();
            assert_eq!(proxy.done(), 1);
        }
    }

    #[test]
    fn a_request_that_is_held_back_is_answered_once_it_is_released() {
        let (proxy, client) = echo();
        proxy.hold_back(END_TXN, 1);
        assert!(ask(&client, PRODUCE).is_ok());
        assert_eq!(proxy.held(), 0);
        assert!(ask(&client, END_TXN).is_err(), "cut at the client's side");
        assert_eq!(proxy.held(), 1);
        let again = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        assert!(ask(&again, END_TXN).is_ok(), "one alone is held back");
        proxy.release();
        assert_eq!(proxy.held(), 0);
    }

    #[test]
    fn an_answer_is_left_without_brokers() {
        let broker = [&1_u32.to_be_bytes()[..], b"\x0a127.0.0.1", &9092_u32.to_be_bytes(), &[0, 0]].concat();
        let answer = |brokers: &[u8]| {
            let body =
                [&77_u32.to_be_bytes()[..], &[0], &0_u32.to_be_bytes(), brokers, b"\x08cluster"].concat();
            [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
        };
        let two = [&[3], &broker[..], &broker].concat();
        assert_eq!(without_brokers(&answer(&two)), Some(answer(&[1])));
        assert_eq!(without_brokers(&answer(&two)[..30]), None);
    }

    #[test]
    fn all_connections_can_be_cut() {
        let (proxy, client) = echo();
        assert!(ask(&client, PRODUCE).is_ok());
        proxy.cut_all();
        assert!(ask(&client, PRODUCE).is_err());
    }
}
