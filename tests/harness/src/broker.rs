//! One Kafka node of a test's own, and the one that a whole test binary shares.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::jars::{java_command, java_tool};
use crate::leash::Leash;
use crate::wire::live_brokers;

/// From exec to serving takes 3 s on an idle machine of two cores, and more than two minutes at the lowest priority beside
/// builds.
const READY_LIMIT: Duration = Duration::from_secs(300);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Below Linux's range of ephemeral ports (32768…): else a client that retries while the broker is down may be
/// given the broker's port as its own, connect to itself, and the broker could not come back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const START_TRIES: u32 = 3;

/// A Kafka node (KRaft) in its own temporary directory; gone, with its directory, when dropped or when this process
/// ends.
#[derive(Debug)]
pub struct Broker {
    leash: Leash,
    port: u16,
    dir: PathBuf,
}

/// What a broker of a fault test needs beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct BrokerOptions {
    /// Clients that come through this port are sent back to it: a proxy listens there, which connects to the second
    /// port of [`Broker::start_with`].
    pub proxy_port: Option<u16>,
    /// Where the log lies, instead of in the broker's own directory; must exist, and stays.
    pub data_dir: Option<PathBuf>,
    /// Lines of `server.properties` that win over the usual ones.
    pub properties: String,
}

impl Broker {
    /// Formats and starts a broker; returns once it serves requests.
    ///
    /// Automatic topic creation is off; offsets, transactions and share state have 4 partitions; a rebalance starts at
    /// once; transactions of a dead producer are looked for every second.
    ///
    /// # Panics
    /// When it does not serve within 300 s, with what it printed.
    pub fn start() -> Self {
        Self::start_with(&BrokerOptions::default()).0
    }

    /// The same with options; also the port that is for the proxy to connect to.
    ///
    /// # Panics
    /// As [`Broker::start`].
    pub fn start_with(options: &BrokerOptions) -> (Self, u16) {
        let mut report = String::new();
        for _ in 0..START_TRIES {
            let [port, behind, controller] = free_ports();
            let node = Node { id: 1, port, behind, controller, voters: None, options };
            match node.start().and_then(|broker| broker.await_ready().map(|()| broker)) {
                Ok(broker) => return (broker, behind),
                Err(output) => writeln!(report, "{output}").expect("a string takes text"),
            }
        }
        panic!("kafka did not start in {START_TRIES} tries:\n{report}");
    }

    /// Starts three nodes that are one cluster: each is broker and controller, internal topics have three replicas
    /// of which two must be in sync. The cluster serves as long as two of them do.
    ///
    /// # Panics
    /// When one does not serve within 300 s, with what it printed.
    pub fn start_three() -> Vec<Self> {
        let ports: [u16; 9] = free_ports();
        let nodes: Vec<&[u16]> = ports.chunks(3).collect();
        let voters: Vec<String> =
            (1..).zip(&nodes).map(|(id, node)| format!("{id}@127.0.0.1:{}", node[2])).collect();
        let voters = voters.join(",");
        let start = |(id, node): (u32, &&[u16])| {
            let (port, behind, controller) = (node[0], node[1], node[2]);
            let options = &BrokerOptions::default();
            let node = Node { id, port, behind, controller, voters: Some(&voters), options };
            node.start().unwrap_or_else(|output| panic!("kafka {id} did not start:\n{output}"))
        };
        let brokers: Vec<Self> = (1..).zip(&nodes).map(start).collect();
        for broker in &brokers {
            broker.await_ready().unwrap_or_else(|output| panic!("kafka did not start:\n{output}"));
        }
        brokers
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
        self.start_again();
        self.await_ready().unwrap_or_else(|output| panic!("kafka did not come back:\n{output}"));
    }

    /// Begins to start it again; [`Broker::restart`] without the wait.
    pub fn start_again(&mut self) {
        self.leash.start_again();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.leash.has_ended()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        self.leash.output()
    }

    /// `SIGSTOP`: connections stay open, nothing answers.
    pub fn freeze(&mut self) {
        self.leash.freeze();
    }

    /// `SIGCONT`.
    pub fn thaw(&mut self) {
        self.leash.thaw();
    }

    fn await_ready(&self) -> Result<(), String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let deadline = Instant::now() + READY_LIMIT;
        while Instant::now() < deadline {
            if live_brokers(address, Duration::from_secs(2)).is_ok_and(|brokers| brokers > 0) {
                return Ok(());
            }
            if self.leash.has_ended() {
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

/// A node that is to be started.
#[derive(Debug)]
struct Node<'a> {
    id: u32,
    port: u16,
    /// For connections through a proxy.
    behind: u16,
    controller: u16,
    /// All controllers of a cluster; `None`: this node alone.
    voters: Option<&'a str>,
    options: &'a BrokerOptions,
}

impl Node<'_> {
    fn start(&self) -> Result<Broker, String> {
        let dir = tempfile::Builder::new().prefix("ripen-kafka-").tempdir().expect("a temporary directory");
        let properties = dir.path().join("server.properties");
        std::fs::write(&properties, self.properties(dir.path()))
            .expect("the temporary directory is writable");
        let properties = properties.to_str().expect("temporary directories have UTF-8 names");
        // Any 16 bytes in URL-safe base64 will do: no test's nodes ever meet another cluster.
        let mut format_args = vec!["format", "-t", "cmlwZW4tdGVzdHMtMDAwMQ", "-c", properties];
        if self.voters.is_none() {
            format_args.push("--standalone");
        }
        let formatted = java_tool("kafka.tools.StorageTool", &format_args, READY_LIMIT);
        if !formatted.status.success() {
            return Err(format!("format: {}", String::from_utf8_lossy(&formatted.stderr)));
        }
        let mut command = java_command("512m", "warn");
        command.extend(["kafka.Kafka".to_owned(), properties.to_owned()]);
        // From here on the leash removes the directory, even when this process is killed.
        let dir = dir.keep();
        let leash = Leash::start(command, &dir.join("broker.log"), Some(&dir));
        Ok(Broker { leash, port: self.port, dir })
    }

    fn properties(&self, dir: &Path) -> String {
        let Self { id, port, behind, controller, voters, options } = self;
        let quorum = match voters {
            Some(voters) => format!("controller.quorum.voters={voters}"),
            None => format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}"),
        };
        let (replicas, in_sync) = if voters.is_some() { (3, 2) } else { (1, 1) };
        let advertised = options.proxy_port.unwrap_or(*behind);
        let data = options.data_dir.clone().unwrap_or_else(|| dir.join("data"));
        format!(
            "process.roles=broker,controller
node.id={id}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},BEHIND://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},BEHIND://127.0.0.1:{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BEHIND:PLAINTEXT
log.dirs={data}
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
default.replication.factor={replicas}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4
log.cleaner.dedupe.buffer.size=8388608
{more}
",
            data = data.display(),
            more = options.properties,
        )
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut ports = [0; N];
    for index in 0..N {
        let mut tries =
            std::iter::repeat_with(|| PORTS.start + (random() % u64::from(PORTS.end - PORTS.start)) as u16);
        let fresh = |port: &u16| is_free(*port) && !ports[..index].contains(port);
        ports[index] = tries.by_ref().take(1000).find(fresh).expect("a free port");
    }
    ports
}

/// Random enough for ports and names: the standard library seeds its hash maps from the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, within a deadline")]
fn pause(interval: Duration) {
    std::thread::sleep(interval);
}
