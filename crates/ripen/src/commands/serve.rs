//! `ripen ingest`, `scorer`, `emitter` and `all`: the services.
//!
//! The main thread starts one thread per worker and one for HTTP and signals, and waits for the first of them to say
//! something. A worker that ends takes the process with it, with its reason: an orchestrator restarts a process,
//! nobody restarts a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ripen_emitter::EmitOptions;
use ripen_ingest::{Arrival, Limits};
use ripen_records::Topics;
use ripen_runtime::kafka::{KafkaLog, keep_freed_memory};
use ripen_runtime::{CommitInterval, FirstStart, Operator, Status, Worker, WorkerConfig, WorkerError, shell};
use tracing::{error, info, warn};

use super::broker;
use crate::config::{Commit, Config, Start};
use crate::failure::{CommandResult, Ended, Failure};
use crate::health::{Health, WorkerState};
use crate::operators::{EmitterOperator, IngestOperator, ScorerOperator};
use crate::progress::Progress;
use crate::{http, metrics};

/// How long clients may take to close once every worker has done its work.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// One of the three services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Clickstream to activities.
    Ingest,
    /// Activities to decisions.
    Scorer,
    /// Decisions to outward records.
    Emitter,
}

impl Service {
    /// In the order of a click's path.
    pub(super) const ALL: [Service; 3] = [Service::Ingest, Service::Scorer, Service::Emitter];

    /// Its name in groups, ids, threads, metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Service::Ingest => "ingest",
            Service::Scorer => "scorer",
            Service::Emitter => "emitter",
        }
    }
}

/// Whether a service can do nothing because no model has been activated.
trait WaitsForModel {
    fn waits_for_model(&self) -> bool;
}

impl WaitsForModel for IngestOperator {
    fn waits_for_model(&self) -> bool {
        self.models().newest().is_none()
    }
}

impl WaitsForModel for ScorerOperator {
    fn waits_for_model(&self) -> bool {
        self.models().newest().is_none()
    }
}

impl WaitsForModel for EmitterOperator {
    fn waits_for_model(&self) -> bool {
        false
    }
}

/// What the main thread is told.
#[derive(Debug)]
enum Event {
    /// A worker has done its work, its clients still open; without an error only because it was told to stop.
    Done { service: Service, worker: usize, result: Result<(), WorkerError> },
    /// A worker's thread ends.
    Closed { panicked: bool },
    /// Somebody wants the process to stop.
    Signal(&'static str),
    /// The HTTP server cannot go on.
    Http(String),
}

/// Runs services until a signal or until one of their workers cannot go on.
pub(super) fn run(services: &[Service], config: &Config) -> CommandResult {
    keep_freed_memory();
    if services.contains(&Service::Ingest) {
        ingest_is_configured(config)?;
    }
    let listener = http::bind(&config.http).map_err(|error| Failure::listen(config.http.listen, &error))?;
    broker::check(services, config)?;
    let recorder = metrics::install().map_err(Failure::new)?;
    let names: Vec<&'static str> = services.iter().map(|service| service.as_str()).collect();
    let shared = Shared {
        health: Arc::new(Health::new(&names, config.workers)),
        progress: Arc::default(),
        stop: Arc::default(),
    };
    if let Some(address) = http::address(&listener) {
        info!(%address, "serving /livez, /readyz and /metrics");
    }
    let (sender, events) = mpsc::channel();
    let token = config.http.token.clone();
    let health = Arc::clone(&shared.health);
    let told = sender.clone();
    spawn("http", move || {
        if let Err(error) = side_thread(listener, token, health, recorder, &told) {
            let _ = told.send(Event::Http(error.to_string()));
        }
    })?;
    let mut threads = Vec::new();
    for service in services {
        for number in 0..config.workers {
            threads.push(start_worker(*service, number, config, &shared, &sender)?);
        }
    }
    drop(sender);
    supervise(&events, &shared.stop, threads)
}

fn ingest_is_configured(config: &Config) -> Result<(), Failure> {
    let missing = if config.sources.is_empty() {
        "sources: name at least one topic and its format"
    } else if config.ingest.start.is_none() {
        "ingest.start: where to begin in a source that was never read (earliest, latest or a time)"
    } else {
        return Ok(());
    };
    Err(Failure::new(format_args!("ingest needs {missing}")))
}

/// Waits for the first thing that happens, then for the workers to end in order.
fn supervise(events: &Receiver<Event>, stop: &AtomicBool, threads: Vec<JoinHandle<()>>) -> CommandResult {
    let mut failure = None;
    let (mut working, mut open) = (threads.len(), threads.len());
    let mut close_by = None;
    while open > 0 {
        let left = close_by.map_or(Duration::MAX, |by: Instant| by.saturating_duration_since(Instant::now()));
        let Ok(event) = events.recv_timeout(left) else {
            // What they did is committed, and a static member has nothing to say when it goes.
            warn!(open, "clients did not close within {CLOSE_LIMIT:?}: not waiting for them");
            break;
        };
        match event {
            Event::Signal(name) if stop.load(Ordering::Relaxed) => {
                return Err(Failure::new(format_args!("second {name}: not waiting for the workers")));
            }
            Event::Signal(name) => info!(signal = name, "stopping: workers commit what they hold"),
            Event::Http(error) => failure = failure.or(Some(format!("http server: {error}"))),
            Event::Done { service, worker, result } => {
                working -= 1;
                match result {
                    Ok(()) => info!(service = service.as_str(), worker, "stopped"),
                    Err(error) => failure = failure.or(Some(error.to_string())),
                }
            }
            Event::Closed { panicked } => {
                open -= 1;
                working -= usize::from(panicked);
            }
        }
        stop.store(true, Ordering::Relaxed);
        if working == 0 {
            close_by = close_by.or(Some(Instant::now() + CLOSE_LIMIT));
        }
    }
    if open == 0 && threads.into_iter().any(|thread| thread.join().is_err()) {
        failure = failure.or(Some("a worker has panicked; its message stands above".to_owned()));
    }
    match failure {
        Some(message) => Err(Failure::Message(message)),
        None => Ok(Ended::Good),
    }
}

/// HTTP and signals share a thread: neither has much to do.
fn side_thread(
    listener: std::net::TcpListener,
    token: Option<crate::config::Secret>,
    health: Arc<Health>,
    recorder: metrics_exporter_prometheus::PrometheusHandle,
    told: &Sender<Event>,
) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let served = http::serve(listener, token, health, recorder);
        tokio::pin!(served);
        loop {
            let name = tokio::select! {
                ended = &mut served => return ended,
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if told.send(Event::Signal(name)).is_err() {
                return Ok(());
            }
        }
    })
}

fn start_worker(
    service: Service,
    number: usize,
    config: &Config,
    shared: &Shared,
    sender: &Sender<Event>,
) -> Result<JoinHandle<()>, Failure> {
    let (config, sender) = (config.clone(), sender.clone());
    let shell = Shell { service, number, shared: shared.clone() };
    spawn(&format!("{}-{number}", service.as_str()), move || {
        // A worker that panics must not leave a process that looks alive.
        let ended = Ending { service, number, sender, done: false };
        work(shell, &config, ended);
    })
}

/// Reports what became of a worker, and the end of its thread however it ends.
struct Ending {
    service: Service,
    number: usize,
    sender: Sender<Event>,
    done: bool,
}

impl Ending {
    /// The work is done or has failed; the clients are still to be closed.
    fn done(&mut self, result: Result<(), WorkerError>) {
        self.done = true;
        let _ = self.sender.send(Event::Done { service: self.service, worker: self.number, result });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.sender.send(Event::Closed { panicked: !self.done });
    }
}

fn work(shell: Shell, config: &Config, ending: Ending) {
    let topics = Topics::with_prefix(&config.prefix);
    match shell.service {
        Service::Ingest => {
            let sources = config.sources.iter().map(|source| (source.topic.clone(), source.format));
            let limits = Limits {
                value_bytes: config.ingest.record_bytes,
                depth: config.ingest.nesting,
                ..Limits::default()
            };
            shell.run(config, IngestOperator::new(topics, sources, limits, Arrival::Source), ending);
        }
        Service::Scorer => shell.run(config, ScorerOperator::new(topics), ending),
        Service::Emitter => match EmitOptions::new(&config.namespace) {
            Ok(options) => shell.run(config, EmitterOperator::new(topics, options), ending),
            Err(error) => unreachable!("the configuration has been checked: {error}"),
        },
    }
}

/// What the threads of a process have in common.
#[derive(Debug, Clone)]
struct Shared {
    health: Arc<Health>,
    progress: Arc<Progress>,
    /// The workers are to end.
    stop: Arc<AtomicBool>,
}

/// A worker's thread.
struct Shell {
    service: Service,
    number: usize,
    shared: Shared,
}

impl Shell {
    /// Works until it is stopped or has to end, tells so, and only then closes the clients: that may take a while.
    fn run<O: Operator + WaitsForModel>(self, config: &Config, operator: O, mut ending: Ending) {
        let tell =
            |error: &WorkerError| error!(service = self.service.as_str(), worker = self.number, "{error}");
        let mut worker = match self.start(config, operator).inspect_err(tell) {
            Ok(worker) => worker,
            Err(error) => return ending.done(Err(error)),
        };
        let result = shell::run(&mut worker, &self.shared.stop, |worker| {
            self.report(&worker.status(), worker.operator().waits_for_model());
        })
        .inspect_err(tell);
        self.shared.health.set(self.service.as_str(), self.number, WorkerState::Stopped);
        ending.done(result);
        drop(worker);
    }

    fn start<O: Operator>(&self, config: &Config, operator: O) -> Result<Worker<KafkaLog, O>, WorkerError> {
        let inputs = operator.wiring().inputs;
        let log = broker::member(self.service, self.number, &inputs, config)
            .map_err(|error| WorkerError::Log { service: self.service.as_str().to_owned(), error })?;
        Worker::new(log, operator, worker_config(self.service, self.number, config))
    }

    fn report(&self, status: &Status, waits_for_model: bool) {
        let (service, worker) = (self.service.as_str(), self.number);
        let state = match WorkerState::of(status) {
            WorkerState::Ready { .. } if waits_for_model => WorkerState::NoModel,
            state => state,
        };
        let is_new = self.shared.health.set(service, worker, state.clone());
        let restoring = if let WorkerState::Restoring { records, .. } = state { records } else { 0 };
        self.shared.progress.set(service, worker, restoring);
        match state {
            // Progress has its own lines, and a failed transaction is told when it fails.
            WorkerState::Restoring { .. } | WorkerState::Aborting { .. } => {}
            WorkerState::Blocked { .. } | WorkerState::NoModel if is_new => warn!(service, worker, "{state}"),
            _ if is_new => info!(service, worker, "{state}"),
            _ => {}
        }
    }
}

fn worker_config(service: Service, number: usize, config: &Config) -> WorkerConfig {
    let commit = match config.commit {
        Commit::Auto => CommitInterval::Auto,
        Commit::Every(interval) => CommitInterval::FixedMs(interval.as_millis() as u32),
    };
    let first_start = match config.ingest.start {
        Some(Start::Latest) => FirstStart::Latest,
        Some(Start::At(time_ms)) => FirstStart::Time(time_ms),
        // Ripen's own topics are read from their beginning.
        Some(Start::Earliest) | None => FirstStart::Earliest,
    };
    let id = uuid::Uuid::new_v4().to_string();
    let first_start = if service == Service::Ingest { first_start } else { FirstStart::Earliest };
    let application = broker::group(service, config);
    WorkerConfig { number, application, commit, first_start, ..WorkerConfig::new(service.as_str(), &id) }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|error| Failure::new(format_args!("cannot start thread {name}: {error}")))
}
