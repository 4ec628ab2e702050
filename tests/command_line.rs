//! The command line as a user meets it: what it answers to wrong input, missing brokers and topics, and how the
//! services start, become ready and stop.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ripen_harness::{create_topic, shared_broker, topic_prefix};

/// How long a step of a test may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing listens on port 1.
const NO_BROKER: &str = "127.0.0.1:1";

const MODEL: &str = r#"apiVersion: ripen/v1
model: {id: tiny, version: 1, agreed_by: [marketing], requires_agreement_of: [marketing]}
scores:
  interest: {half_life: 1d, range: [0, 100]}
rules:
  - {id: demo, event: demo_request, points: {interest: 10}, once: true}
stages:
  - {id: visitor, owner: marketing}
  - {id: warm, owner: marketing, enter: "score.interest >= 10", exit: "score.interest < 5"}
"#;

/// A directory to run in; no variable of the machine reaches the program.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("the directory is writable");
        }
        Place { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ripen"));
        command.current_dir(self.path()).args(arguments).env_clear().stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("ripen starts")
    }
}

/// Runs a command that has to end with `code` and say each of `expect` on stderr, without a panic.
#[track_caller]
fn check(place: &Place, arguments: &[&str], code: i32, expect: &[&str]) -> String {
    let output = place.run(arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}{stderr}");
    for words in expect {
        assert!(stderr.contains(words), "{arguments:?}: {words:?} is not in\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    stdout
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
    let place = Place::new(&[]);
    check(&place, &["ripen"], 2, &["unrecognized subcommand"]);
    check(&place, &[], 2, &["Usage: ripen"]);
    check(&place, &["config", "check", "--set", "workers"], 2, &["expected KEY=VALUE"]);
    assert!(check(&place, &["--help"], 0, &[]).contains("emitter"));
    assert!(check(&place, &["--version"], 0, &[]).starts_with("ripen 0."));
}

#[test]
fn unknown_keys_and_wrong_values_have_a_place_and_a_suggestion() {
    let place = Place::new(&[("ripen.yaml", "kafka:\n  bootstrp: a:1\nworkers: many\n")]);
    let expect = [
        "ripen.yaml:2:3: unknown key kafka.bootstrp; did you mean kafka.bootstrap?",
        "ripen.yaml:3:10: workers: expected a whole number from 1 to 1024, got \"many\"",
    ];
    // An unknown key hides nothing else: but values are looked at only when all keys are known.
    check(&place, &["config", "check"], 1, &expect[..1]);
    check(&place, &["scorer"], 1, &expect[..1]);
    let place = Place::new(&[("ripen.yaml", "kafka:\n  bootstrap: a:1\nworkers: many\n")]);
    check(&place, &["config", "check"], 1, &expect[1..]);
    let misspelt = ["config", "check", "--set", "http.lisen=127.0.0.1:0"];
    check(&place, &misspelt, 1, &["--set http.lisen: unknown key http.lisen; did you mean http.listen?"]);
}

#[test]
fn the_effective_configuration_tells_origins_and_hides_secrets() {
    let place = Place::new(&[("ripen.yaml", "prefix: file-\nnamespace: file\nworkers: 4\n")]);
    let output = place
        .command(&["config", "check", "--set", "workers=6"])
        .env("RIPEN_NAMESPACE", "variable")
        .env("RIPEN_HTTP_TOKEN", "s3cret")
        .env("RIPEN_WORKRES", "7")
        .output()
        .expect("ripen starts");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    for line in [
        "prefix: file-  # ripen.yaml:1:9",
        "namespace: variable  # environment variable RIPEN_NAMESPACE",
        "workers: 6  # --set workers",
        "  token: \"<redacted>\"  # environment variable RIPEN_HTTP_TOKEN",
    ] {
        assert!(stdout.lines().any(|shown| shown == line), "{line:?} is not in\n{stdout}");
    }
    assert!(stderr.contains("RIPEN_WORKRES is not read; did you mean RIPEN_WORKERS?"), "{stderr}");
    assert!(!format!("{stdout}{stderr}").contains("s3cret"));
}

#[test]
fn the_example_configuration_is_accepted() {
    let place = Place::new(&[]);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/ripen.yaml");
    let output =
        place.command(&["config", "check", "--config", example]).env("RIPEN_HTTP_TOKEN", "x").output();
    let output = output.expect("ripen starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn unreadable_files_are_named() {
    let place = Place::new(&[]);
    check(&place, &["config", "check", "--config", "none.yaml"], 1, &["cannot read none.yaml: no such file"]);
    check(&place, &["model", "activate", "none.yaml"], 1, &["cannot read none.yaml: no such file"]);
    check(&place, &["model", "activate", "."], 1, &["cannot read .: is a directory"]);
    let token = ["config", "check", "--set", "http.token_file=none"];
    check(&place, &token, 1, &["http.token_file: cannot read none: "]);
}

#[test]
fn model_errors_have_a_place_and_a_suggestion() {
    let place = Place::new(&[
        ("broken.yaml", &MODEL.replace("once: true", "onec: true")),
        ("name.yaml", &format!("{MODEL}audiences: {{warm_ones: \"score.interst >= 10\"}}\n")),
        (
            "failing.yaml",
            &format!(
                "{MODEL}tests: [{{name: cold, events: [{{at: 0h, event: none}}], expect: {{stage: warm}}}}]\n"
            ),
        ),
        ("unagreed.yaml", &MODEL.replace("of: [marketing]", "of: [marketing, sales]")),
    ]);
    let broken = ["broken.yaml:6:61: error: ", "onec", "did you mean `once`?"];
    check(&place, &["model", "activate", "broken.yaml"], 1, &broken);
    let name = ["name.yaml:10:31: error: unknown score `interst`", "did you mean `interest`?"];
    check(&place, &["model", "activate", "name.yaml"], 1, &name);
    check(&place, &["model", "activate", "failing.yaml"], 1, &["failing.yaml:10", "cold"]);
    check(&place, &["model", "activate", "unagreed.yaml"], 1, &["model tiny needs the agreement of sales"]);
}

/// `| head` ends; so must we, without a word.
#[test]
fn a_reader_that_has_gone_ends_it_cleanly() {
    let click = r#"{"messageId":"m-1","type":"track","event":"demo_request","anonymousId":"a-1","timestamp":"2026-10-05T10:00:00Z","receivedAt":"2026-10-05T10:00:00Z"}"#;
    let place = Place::new(&[("model.yaml", MODEL), ("clicks.jsonl", click)]);
    for arguments in [
        ["config", "reference"].as_slice(),
        &["config", "check"],
        &["score", "--model", "model.yaml", "--format", "segment", "clicks.jsonl"],
        &["demo", "--leads", "300", "--days", "6"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output =
            place.command(arguments).stdout(writer).stderr(Stdio::piped()).output().expect("ripen starts");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{arguments:?}: {stderr}");
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = place.command(&["config", "check", "--set", "workers=0"]).stderr(writer).status();
    assert_eq!(status.expect("ripen starts").code(), Some(1), "a closed stderr changes nothing");
}

#[test]
fn a_missing_broker_is_named_within_ten_seconds() {
    let place = Place::new(&[("model.yaml", MODEL)]);
    let quiet = ["--set", "http.listen=127.0.0.1:0", "--bootstrap", NO_BROKER];
    for command in [["topics", "check"].as_slice(), &["model", "activate", "model.yaml"], &["scorer"]] {
        let from = Instant::now();
        check(&place, &[command, &quiet].concat(), 1, &["no Kafka broker answers at 127.0.0.1:1"]);
        let taken = from.elapsed();
        assert!(taken < Duration::from_secs(10), "{command:?} took {taken:?}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let place = Place::new(&[]);
    let listen = format!("http.listen={address}");
    let expect = format!("cannot listen on {address}: address already in use");
    check(&place, &["emitter", "--set", &listen, "--bootstrap", NO_BROKER], 1, &[&expect]);
}

#[test]
fn ingest_wants_sources_and_a_start() {
    let place = Place::new(&[]);
    check(&place, &["ingest"], 1, &["ingest needs sources"]);
    let sources = ["ingest", "--set", "sources=[{topic: clicks, format: segment}]"];
    check(&place, &sources, 1, &["ingest needs ingest.start"]);
}

/// An installation on the shared broker.
fn installation(name: &str, partitions: u32) -> (Place, String) {
    let (bootstrap, prefix) = (shared_broker().bootstrap(), topic_prefix(name));
    let config = format!(
        "kafka: {{bootstrap: '{bootstrap}'}}\nprefix: '{prefix}'\nworkers: 1\ninstance: one\n\
         sources: [{{topic: '{prefix}clicks', format: segment}}]\ningest: {{start: earliest}}\n\
         topics: {{partitions: {partitions}, replication: 1, min_insync_replicas: 1}}\n\
         http: {{listen: '127.0.0.1:0'}}\n"
    );
    let other = MODEL.replace("version: 1", "version: 2");
    let files = [("ripen.yaml", config.as_str()), ("model.yaml", MODEL), ("other.yaml", &other)];
    (Place::new(&files), prefix)
}

#[test]
fn missing_topics_and_wrong_partition_counts_are_named() {
    let (place, prefix) = installation("cli-topics", 2);
    let made = format!("{prefix}ripen.activities.v1 does not exist; `ripen topics apply` makes it");
    check(&place, &["scorer"], 1, &[&made]);
    check(&place, &["model", "activate", "model.yaml"], 1, &[&made]);
    let missing = check(&place, &["topics", "check"], 1, &[]);
    assert_eq!(
        missing.lines().filter(|line| line.contains("`ripen topics apply` makes it")).count(),
        7,
        "{missing}"
    );
    let created = check(&place, &["topics", "apply"], 0, &[]);
    assert_eq!(created.lines().filter(|line| line.starts_with("created topic ")).count(), 7, "{created}");
    assert!(check(&place, &["topics", "check"], 0, &[]).contains("topics are as configured"));
    assert!(!check(&place, &["topics", "apply"], 0, &[]).contains("created"));
    check(&place, &["ingest"], 1, &["source topic", "does not exist", "--with-sources"]);

    let wrong = format!("{prefix}ripen.leads.v1 has 2 partitions, 3 are configured");
    let three = ["--set", "topics.partitions=3"];
    let findings = check(&place, &[["topics", "check"], three].concat(), 1, &[]);
    assert!(findings.contains(&wrong), "{findings}");
    check(&place, &[["scorer"].as_slice(), &three].concat(), 1, &[&wrong, "`ripen topics apply`"]);
    let setting = check(
        &place,
        &["topics", "check", "--set", "topics.replication=2", "--set", "topics.min_insync_replicas=2"],
        1,
        &[],
    );
    assert!(setting.contains("min.insync.replicas=1, should be 2"), "{setting}");
}

#[test]
fn a_model_is_activated_once_and_replaced_by_another() {
    let (place, _) = installation("cli-model", 2);
    check(&place, &["topics", "apply"], 0, &[]);
    let first = check(&place, &["model", "activate", "model.yaml"], 0, &[]);
    assert!(first.starts_with("model tiny version 1 is active, epoch 1, hash "), "{first}");
    let again = check(&place, &["model", "activate", "model.yaml"], 0, &[]);
    assert!(again.starts_with("model tiny version 1 is already active, epoch 1, hash "), "{again}");
    let other = check(&place, &["model", "activate", "other.yaml"], 0, &[]);
    assert!(other.starts_with("model tiny version 2 is active, epoch 2, hash "), "{other}");
}

#[test]
fn services_say_that_a_model_is_missing_become_ready_and_stop_in_order() {
    let (place, prefix) = installation("cli-serve", 2);
    check(&place, &["topics", "apply"], 0, &[]);
    create_topic(&shared_broker().bootstrap(), &format!("{prefix}clicks"), 1, &[]);
    let mut services = Services::start(&place, &["all", "--set", "log.format=text"]);

    let (_, body) = services.until("/readyz", |status, body| status == 503 && body.contains("no model"));
    assert!(
        body.contains("no model has been activated; activate one with `ripen model activate FILE`"),
        "{body}"
    );
    services.heard("no model has been activated; activate one with `ripen model activate FILE`");
    assert_eq!(services.get("/livez").0, 200);

    check(&place, &["model", "activate", "model.yaml"], 0, &[]);
    let (_, body) = services.until("/readyz", |status, _| status == 200);
    assert!(body.contains(r#""status":"ready""#), "{body}");
    let (_, metrics) = services.until("/metrics", |_, body| body.contains("ripen_partitions_owned{"));
    for name in ["ripen_ready 1", "ripen_build_info{", "ripen_transactions_total{"] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert_eq!(services.get("/nothing").0, 404);

    // Another process with the same instance name takes over; the first one says why it ends.
    let second = Services::start(&place, &["all"]);
    let (code, said) = services.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("replaced by another instance"), "{said}");
    second.until("/readyz", |status, _| status == 200);
    let (code, said) = second.terminated();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn metrics_ask_for_the_token() {
    let (place, _) = installation("cli-token", 1);
    check(&place, &["topics", "apply"], 0, &[]);
    std::fs::write(place.path().join("token"), "s3cret\n").expect("the directory is writable");
    let services = Services::start(&place, &["emitter", "--set", "http.token_file=token"]);
    services.until("/readyz", |status, _| status == 200);
    assert_eq!(services.get("/metrics").0, 401);
    assert_eq!(services.get_with("/metrics", "authorization: Bearer wrong\r\n").0, 401);
    let (status, body) = services.get_with("/metrics", "authorization: Bearer s3cret\r\n");
    assert_eq!(status, 200);
    assert!(body.contains("ripen_ready 1"), "{body}");
    let (code, said) = services.terminated();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("s3cret"));
}

/// Services running in a process of their own.
struct Services {
    child: Child,
    address: String,
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Services {
    fn start(place: &Place, arguments: &[&str]) -> Services {
        let mut child = place.command(arguments).stderr(Stdio::piped()).spawn().expect("ripen starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut services = Services { child, address: String::new(), lines, said: String::new() };
        let line = services.heard("address=");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        services.address = address.expect("the address follows").to_owned();
        services
    }

    /// Waits for a line on stderr with these words.
    fn heard(&mut self, words: &str) -> String {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(error) => panic!("no line with {words:?} ({error}):\n{}", self.said),
            };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(words) {
                return line;
            }
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, "")
    }

    fn get_with(&self, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let request = format!("GET {path} HTTP/1.1\r\nhost: ripen\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("the request is sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("the response is text");
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{response:?}")), body.to_owned())
    }

    fn until(&self, path: &str, is_so: impl Fn(u16, &str) -> bool) -> (u16, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.get(path);
            if is_so(status, &body) {
                return (status, body);
            }
            assert!(Instant::now() < deadline, "{path} still answers {status} {body}\n{}", self.said);
            pause();
        }
    }

    /// Sends SIGTERM and waits for the end.
    fn terminated(self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts");
        assert!(sent.success());
        self.ended()
    }

    /// Waits for the end; the exit code and all that was said.
    fn ended(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            pause();
        };
        let rest: Vec<String> = self.lines.iter().collect();
        (status.code(), format!("{}{}", std::mem::take(&mut self.said), rest.join("\n")))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process, within a deadline")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
