//! One Kafka node of a test's own, and the one that a whole test binary shares.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::jars::{java_command, java_tool};
use crate::leash::{Leash, state};
use crate::wire::live_brokers;

/// From exec to serving takes 3 s on an idle machine of two cores; builds beside it make it slower.
const READY_LIMIT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Below Linux's range of ephemeral ports (32768…): else a client that retries while the broker is down may be
/// given the broker's port as its own, connect to itself, and the broker could not come back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const START_TRIES: u32 = 3;

/// A single-node Kafka (KRaft) in its own temporary directory; gone, with its directory, when dropped or when this
/// process ends.
#[derive(Debug)]
pub struct Broker {
    leash: Leash,
    port: u16,
    dir: PathBuf,
}

impl Broker {
    /// Formats and starts a broker; returns once it serves requests.
    ///
    /// Automatic topic creation is off; offsets, transactions and share state have 4 partitions; a rebalance starts at
    /// once; transactions of a dead producer are looked for every second.
    ///
    /// # Panics
    /// When it does not serve within 120 s, with what it printed.
    pub fn start() -> Self {
        let mut report = String::new();
        for _ in 0..START_TRIES {
            match Self::try_start() {
                Ok(broker) => return broker,
                Err(output) => writeln!(report, "{output}").expect("a string takes text"),
            }
        }
        panic!("kafka did not start in {START_TRIES} tries:\n{report}");
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The broker's temporary directory: `server.properties`, `data/`, `broker.log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Process id of the broker's JVM.
    pub fn pid(&self) -> u32 {
        self.leash.pid()
    }

    /// `SIGKILL`; returns once it is dead. Its directory stays for [`Broker::restart`].
    pub fn kill9(&mut self) {
        self.leash.kill9();
    }

    /// `SIGTERM`: an orderly shutdown, waited for.
    pub fn shut_down(&mut self) {
        self.leash.terminate();
    }

    /// Starts it again after [`Broker::kill9`] or [`Broker::shut_down`]: same directory, same ports; returns once it
    /// serves requests.
    ///
    /// # Panics
    /// As [`Broker::start`].
    pub fn restart(&mut self) {
        self.leash.start_again();
        self.await_ready().unwrap_or_else(|output| panic!("kafka did not come back:\n{output}"));
    }

    /// `SIGSTOP`: connections stay open, nothing answers.
    pub fn freeze(&mut self) {
        self.leash.freeze();
    }

    /// `SIGCONT`.
    pub fn thaw(&mut self) {
        self.leash.thaw();
    }

    fn try_start() -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("ripen-kafka-").tempdir().expect("a temporary directory");
        let (port, controller_port) = free_ports();
        let properties = dir.path().join("server.properties");
        std::fs::write(&properties, server_properties(port, controller_port, dir.path()))
            .expect("the temporary directory is writable");
        let properties = properties.to_str().expect("temporary directories have UTF-8 names");
        // Any 16 bytes in URL-safe base64 will do: one node never meets another cluster.
        let format_args = ["format", "-t", "cmlwZW4tdGVzdHMtMDAwMQ", "-c", properties, "--standalone"];
        let formatted = java_tool("kafka.tools.StorageTool", &format_args, READY_LIMIT);
        if !formatted.status.success() {
            return Err(format!("format: {}", String::from_utf8_lossy(&formatted.stderr)));
        }
        let mut command = java_command("512m", "warn");
        command.extend(["kafka.Kafka".to_owned(), properties.to_owned()]);
        // From here on the leash removes the directory, even when this process is killed.
        let dir = dir.keep();
        let leash = Leash::start(command, &dir.join("broker.log"), Some(&dir));
        let broker = Self { leash, port, dir };
        broker.await_ready()?;
        Ok(broker)
    }

    fn await_ready(&self) -> Result<(), String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + READY_LIMIT;
        while Instant::now() < deadline {
            if live_brokers(address, Duration::from_secs(2)).is_ok_and(|brokers| brokers > 0) {
                return Ok(());
            }
            // It stays a zombie until its shell waits for it.
            if matches!(state(self.leash.pid()), None | Some('Z')) {
                break;
            }
            pause(POLL_INTERVAL);
        }
        Err(self.leash.output())
    }
}

/// The broker that the tests of one binary share: its own, or the one that `RIPEN_TEST_BOOTSTRAP` names.
#[derive(Debug)]
pub enum SharedBroker {
    /// Started by this process, gone with it.
    Own(Broker),
    /// Somebody else's: `host:port[,…]`.
    Given(String),
}

impl SharedBroker {
    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        match self {
            Self::Own(broker) => broker.bootstrap(),
            Self::Given(bootstrap) => bootstrap.clone(),
        }
    }
}

/// The test binary's broker, started at the first call. It cannot be killed through this reference: a fault test
/// starts its own [`Broker`].
pub fn shared_broker() -> &'static SharedBroker {
    static SHARED: OnceLock<SharedBroker> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var("RIPEN_TEST_BOOTSTRAP") {
        Ok(bootstrap) if !bootstrap.is_empty() => SharedBroker::Given(bootstrap),
        _ => SharedBroker::Own(Broker::start()),
    })
}

/// A prefix for topics, groups and transactional ids that no other test on the same broker has: `name-…-`.
pub fn topic_prefix(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{:08x}{number:02x}-", random() as u32)
}

fn server_properties(port: u16, controller_port: u16, dir: &Path) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={dir}/data
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=8388608
",
        dir = dir.display()
    )
}

fn free_ports() -> (u16, u16) {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut ports =
        std::iter::repeat_with(|| PORTS.start + (random() % u64::from(PORTS.end - PORTS.start)) as u16)
            .take(1000)
            .filter(|port| is_free(*port));
    let port = ports.next().expect("a free port");
    let controller_port = ports.find(|other| *other != port).expect("a second free port");
    (port, controller_port)
}

/// Random enough for ports and names: the standard library seeds its hash maps from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, within a deadline")]
fn pause(interval: Duration) {
    std::thread::sleep(interval);
}
