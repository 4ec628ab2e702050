//! `ripen leads forget ID…`: writes requests to erase persons, each to the partition of its id, all in one transaction.
//!
//! What was typed may be an address: it is hashed at once, and never written, logged or repeated.

use std::io::{BufRead as _, Read as _, Write as _};

use ripen_records::{ActivityRecord, Erase, LeadId, LeadIdError, Text, Topics, encode_activity};
use ripen_runtime::kafka::wall_clock_ms;
use ripen_runtime::{Headers, Log as _, OutRecord, Outbox, To};

use super::broker;
use crate::cli::ForgetArgs;
use crate::config::Config;
use crate::failure::{CommandResult, Ended, Failure, say};

/// Ids in one run: with a record of some hundred bytes each, one transaction holds them.
const MOST_IDS: usize = 10_000;

/// The longest line of ids that is read, bytes: an address or an id, and room for blanks.
const LINE_BYTES: u64 = 1_024;

pub(super) fn forget(
    arguments: &ForgetArgs,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> CommandResult {
    let ids = ids(&arguments.ids)?;
    let config = config()?;
    let topics = Topics::with_prefix(&config.prefix);
    let mut log = broker::writer("leads-forget", &config)?;
    broker::partitions(&mut log, &topics.activities)?;
    tell(&ids, arguments)?;
    if !arguments.yes {
        say(format_args!("nothing was changed; add --yes"));
        return Ok(Ended::Findings);
    }
    let mut out = Outbox::default();
    let arrival_ms = wall_clock_ms();
    for id in &ids {
        push_request(&mut out, &topics, id, arguments.suppress, arrival_ms);
    }
    log.append(&out).map_err(Failure::new)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "requested; the scorers carry it out as soon as they come to it")
        .and_then(|()| stdout.flush())
        .map_err(Failure::stdout)?;
    Ok(Ended::Good)
}

/// The request, to the partition of its id.
fn push_request(out: &mut Outbox, topics: &Topics, id: &LeadId, suppress: bool, arrival_ms: i64) {
    let request_id = Text::from(format!("forget-{arrival_ms}"));
    let mut value = Vec::new();
    encode_activity(&ActivityRecord::Erase(Erase { request_id, arrival_ms, suppress }), &mut value)
        .expect("a request fits its schema");
    out.push(&OutRecord {
        topic: &topics.activities,
        to: To::Key,
        key: Some(id.as_str().as_bytes()),
        value: Some(&value),
        headers: Headers::EMPTY,
        timestamp_ms: Some(arrival_ms),
    });
}

/// The ids of the command line and of standard input, each once; all of them or none.
fn ids(arguments: &[String]) -> Result<Vec<LeadId>, Failure> {
    let mut ids = Vec::new();
    for argument in arguments {
        if argument != "-" {
            ids.push(id(argument).map_err(|why| Failure::Usage(format!("an id cannot be used: {why}")))?);
            continue;
        }
        let mut stdin = std::io::stdin().lock();
        for number in 1.. {
            let mut line = String::new();
            let read = stdin.by_ref().take(LINE_BYTES).read_line(&mut line);
            let read = read.map_err(|error| Failure::new(format_args!("cannot read stdin: {error}")))?;
            if read == 0 || ids.len() > MOST_IDS {
                break;
            }
            if !line.trim().is_empty() {
                let read = id(line.trim());
                ids.push(read.map_err(|why| Failure::new(format_args!("line {number} of stdin: {why}")))?);
            }
        }
    }
    ids.sort();
    ids.dedup();
    match ids.len() {
        0 => Err(Failure::new("no ids on stdin")),
        1..=MOST_IDS => Ok(ids),
        _ => Err(Failure::new(format_args!("more than {MOST_IDS} ids: split them"))),
    }
}

/// Says what is wrong without the text.
fn id(text: &str) -> Result<LeadId, &'static str> {
    ripen_ingest::lead_id(text).map_err(|error| match error {
        LeadIdError::UnknownKind => "expected kind:value, kinds: crm, user, email, phone, device, anon",
        LeadIdError::Empty => {
            "it is a placeholder, no address, or a phone number without country code: no lead has such an id"
        }
        LeadIdError::TooLong { .. } => "it is longer than any id",
    })
}

fn tell(ids: &[LeadId], arguments: &ForgetArgs) -> Result<(), Failure> {
    let afterwards = match arguments.suppress {
        true => "nothing is accepted under any of these ids again",
        false => "whoever comes back begins a new life",
    };
    let mut text = String::from("to be erased, with every id that was joined to it:\n");
    for id in ids {
        text.push_str("  ");
        text.push_str(id.as_str());
        text.push('\n');
    }
    text.push_str(
        "scores, stage, audiences and history are dropped, the CRM hears of a fall to the first stage, the profile is \
         removed; what has arrived before now does not count any more; ",
    );
    text.push_str(afterwards);
    text.push_str("\nwhat topics still hold until their retention ends: docs/identity.md\n");
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ids: &[&str]) -> Result<Vec<String>, Failure> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        Ok(super::ids(&ids)?.into_iter().map(String::from).collect())
    }

    #[test]
    fn addresses_are_hashed_whatever_their_kind() {
        let hash = "email:bd93ea95f242f02313eccf0ab0bb7fe5121a052de42d2cb7bd332fb9f537cbfa";
        for text in ["email: Mail@Yandex.ru ", "user:mail@yandex.ru", hash] {
            assert_eq!(
                told(&[text, "anon:a", text]),
                Ok(vec![hash.to_owned(), "anon:a".to_owned()]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_id_is_refused_and_not_repeated() {
        for (text, why) in [
            ("mail@example.com", "expected kind:value"),
            ("mail:mail@example.com", "expected kind:value"),
            ("email:mail-example.com", "no address"),
            ("phone:5551234", "country code"),
            ("user:null", "placeholder"),
            (&format!("user:{}", "x".repeat(300)), "longer"),
        ] {
            let Err(Failure::Usage(message)) = told(&["user:good", text]) else {
                panic!("{text} is accepted")
            };
            assert!(message.contains(why) && !message.contains("example"), "{message}");
        }
    }
}
