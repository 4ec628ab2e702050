//! The broker starts, keeps its records over a kill, and is gone after drop, whichever way the process ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ripen_harness::{
    Broker, ConsoleRun, console_consumer, create_topic, java_tool, shared_broker, topic_prefix,
};

/// Set in the process that `dies_with_a_killed_test_process` starts and kills.
const VICTIM: &str = "RIPEN_HARNESS_VICTIM";

/// Writes `records` records of 20 bytes with the Java load tool.
fn produce(bootstrap: &str, topic: &str, records: u32) {
    let server = format!("bootstrap.servers={bootstrap}");
    let args = ["--topic", topic, "--num-records", &records.to_string(), "--record-size", "20"];
    let args = [args.as_slice(), &["--throughput", "-1", "--producer-props", &server, "acks=all"]].concat();
    let output = java_tool("org.apache.kafka.tools.ProducerPerformance", &args, Duration::from_secs(60));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn topics(bootstrap: &str) -> String {
    let args = ["--bootstrap-server", bootstrap, "--list"];
    let output = java_tool("org.apache.kafka.tools.TopicCommand", &args, Duration::from_secs(60));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::yield_now();
    }
}

fn is_gone(pid: u32, dir: &Path) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists() && !dir.exists()
}

#[test]
fn serves_survives_a_kill_and_is_gone_after_drop() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    create_topic(&bootstrap, "kept", 2, &["cleanup.policy=delete"]);
    produce(&bootstrap, "kept", 7);

    let first_pid = broker.pid();
    broker.kill9();
    assert!(TcpListener::bind(&bootstrap).is_ok(), "nobody listens on a dead broker's port");
    broker.restart();
    assert_eq!(broker.bootstrap(), bootstrap);
    assert_ne!(broker.pid(), first_pid);

    let records = console_consumer(&bootstrap, "kept", &ConsoleRun::of(7));
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|r| r.key.is_none() && r.headers.is_empty()));
    assert!(records.iter().all(|r| r.value.as_ref().is_some_and(|value| value.len() == 20)));

    let (pid, dir) = (broker.pid(), broker.dir().to_path_buf());
    assert!(dir.join("data").exists());
    drop(broker);
    assert!(is_gone(pid, &dir), "drop waits until process and directory are gone");
}

#[test]
fn the_shared_broker_is_one_and_prefixes_differ() {
    let bootstrap = shared_broker().bootstrap();
    assert_eq!(shared_broker().bootstrap(), bootstrap);
    let (one, other) = (topic_prefix("same"), topic_prefix("same"));
    assert_ne!(one, other);
    for prefix in [&one, &other] {
        create_topic(&bootstrap, &format!("{prefix}topic"), 1, &[]);
    }
    let topics = topics(&bootstrap);
    assert!(topics.contains(&format!("{one}topic")) && topics.contains(&format!("{other}topic")), "{topics}");
}

/// Not a test of its own: the body of the process that the next test kills.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let broker = Broker::start();
    println!("\nvictim {} {}", broker.pid(), broker.dir().display());
    // Ends only with the pipe, which the other side holds until it has killed this process.
    let _ = std::io::stdin().lines().next();
}

#[test]
fn dies_with_a_killed_test_process() {
    let mut process = Command::new(std::env::current_exe().expect("the path of this test"))
        .args(["victim", "--exact", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts again");
    let output = BufReader::new(process.stdout.take().expect("piped"));
    let line = output
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("victim "))
        .expect("the victim names its broker");
    let (pid, dir) = line["victim ".len()..].split_once(' ').expect("pid and directory");
    let (pid, dir): (u32, PathBuf) = (pid.parse().expect("a number"), dir.into());
    assert!(!is_gone(pid, &dir));

    process.kill().expect("SIGKILL");
    process.wait().expect("it was our child");
    eventually("broker and directory gone", || is_gone(pid, &dir));
}
