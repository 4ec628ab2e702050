//! The file format: every section and key of the language with its shape, and which of them this version executes.

use crate::shape::{Key, Record, Shape, key, later, need, record};

/// The whole file.
pub(crate) static FILE: Shape = Shape::Record(&Record {
    what: "model file",
    keys: &[
        need("apiVersion", Shape::Word(&["ripen/v1"])),
        need("model", Shape::Record(&MODEL)),
        key("time", Shape::Record(&TIME)),
        key("pages", Shape::Record(&PAGES)),
        key("traits", Shape::Map(&Shape::Text, &Shape::Record(&TRAIT))),
        key("scores", Shape::Map(&Shape::Name, &Shape::Record(&SCORE))),
        key("groups", Shape::Map(&Shape::Id, &Shape::Record(&GROUP))),
        key("rules", Shape::List(&Shape::Record(&RULE))),
        key("fit", Shape::List(&Shape::Record(&FIT))),
        key("lists", Shape::Map(&Shape::Name, &LIST)),
        need("stages", Shape::List(&Shape::Record(&STAGE))),
        later("bonuses", Shape::List(&Shape::Record(&BONUS))),
        later("frameworks", Shape::Record(&FRAMEWORKS)),
        later("definitions", Shape::Map(&Shape::Id, &Shape::Predicate)),
        later("disqualify", Shape::List(&Shape::Record(&VERDICT))),
        later("feedback", Shape::Map(&Shape::Text, &Shape::Record(&FEEDBACK))),
        later("audiences", Shape::Map(&Shape::Id, &Shape::Predicate)),
        later("route", Shape::Record(&ROUTE)),
        later("value", Shape::Record(&VALUE)),
        later("alerts", Shape::List(&Shape::Record(&ALERT))),
        later("next_step", Shape::Map(&Shape::Id, &Shape::Text)),
        later("handover", Shape::Record(&HANDOVER)),
        later("response", Shape::Map(&Shape::Id, &Shape::Record(&RESPONSE))),
        later("tests", Shape::List(&Shape::Record(&PERSONA))),
    ],
    rest: None,
});

/// Thousandths; |points| ≤ 10,000.
const POINTS: Shape = Shape::Decimal(3, 10_000);

/// A bound of a score: its range, labels, caps.
const BOUND: Shape = Shape::Decimal(3, LARGEST_SCORE);

/// The largest magnitude of a score, in points; the range of a score that states none.
pub(crate) const LARGEST_SCORE: i64 = 1_000_000;

/// Keys that a rule may hold per lead.
pub(crate) const MOST_KEYS: i64 = 1024;

/// Event ids that a lead may remember.
pub(crate) const MOST_REMEMBERED: i64 = 4096;

/// Activities that travel with a hand-over; each takes 145 bytes of a lead's state at most.
pub(crate) const MOST_HISTORY: i64 = 400;

static TEXTS: Shape = Shape::List(&Shape::Text);
static IDS: Shape = Shape::List(&Shape::Id);

static MODEL: Record = record(
    "model",
    &[
        need("id", Shape::Id),
        need("version", Shape::Integer(1, 1_000_000_000)),
        key("agreed_by", TEXTS),
        key("agreed_on", Shape::Date),
        key("requires_agreement_of", TEXTS),
    ],
);

static TIME: Record = record(
    "time section",
    &[
        key("zone", Shape::Text),
        key("max_future", Shape::Duration),
        key("late_accept", Shape::Duration),
        key("forget", Shape::Duration),
        key("forget_anonymous", Shape::Duration),
        key("remember", Shape::Integer(1, MOST_REMEMBERED)),
    ],
);

static PAGES: Record = Record {
    what: "pages section",
    keys: &[key("fold_case", Shape::Boolean)],
    rest: Some((&Shape::Id, &Shape::OneOrMany(&Shape::Text))),
};

static TRAIT: Record = record(
    "trait",
    &[
        key("from", Shape::OneOrMany(&Shape::Text)),
        key("kind", Shape::Word(&["text", "number", "bool", "email", "phone"])),
    ],
);

static SCORE: Record = record(
    "score",
    &[
        need(
            "half_life",
            Shape::Either("a duration or `never`", &[Shape::Duration, Shape::Word(&["never"])]),
        ),
        key("range", Shape::Pair(&BOUND, &BOUND)),
        key("labels", Shape::Map(&Shape::Id, &BOUND)),
    ],
);

static GROUP: Record = record("group", &[need("score", Shape::Name), key("max", BOUND), key("min", BOUND)]);

static RULE: Record = record(
    "rule",
    &[
        need("id", Shape::Id),
        need("event", Shape::OneOrMany(&Shape::Text)),
        key("where", Shape::Predicate),
        key("points", Shape::Map(&Shape::Name, &POINTS)),
        key("once", Shape::True),
        key("once_per", Shape::OneOrMany(&Shape::Text)),
        key("max", Shape::Integer(1, MOST_KEYS)),
        key("group", Shape::Id),
        key("set", SET),
        key("unset", Shape::OneOrMany(&Shape::Name)),
        later("lift", Shape::OneOrMany(&Shape::Id)),
        key("anonymous", Shape::Word(&["count", "ignore"])),
    ],
);

const SET: Shape = Shape::Map(
    &Shape::Name,
    &Shape::Either("a duration such as `30d`, or `true`", &[Shape::Duration, Shape::True]),
);

static BONUS: Record = record(
    "bonus",
    &[
        need("id", Shape::Id),
        need("when", Shape::Predicate),
        need("score", Shape::Name),
        need("points", POINTS),
    ],
);

static FIT: Record = record(
    "fit",
    &[
        need("id", Shape::Id),
        need("trait", Shape::Text),
        need("score", Shape::Name),
        key("map", Shape::Map(&Shape::Scalar, &POINTS)),
        key("bands", Shape::List(&Shape::Pair(&Shape::Decimal(6, 9_000_000_000_000), &POINTS))),
        key("default", POINTS),
        key("missing", POINTS),
    ],
);

static FRAMEWORKS: Record = Record {
    what: "frameworks section",
    keys: &[
        need("use", Shape::Id),
        need("score", Shape::Name),
        key("positive", Shape::Map(&Shape::Id, &Shape::List(&POSITIVE))),
        key("answers", Shape::Record(&ANSWERS)),
    ],
    rest: Some((&Shape::Id, &Shape::Record(&FRAMEWORK))),
};

static POSITIVE: Shape = Shape::Either(
    "an answer or `{at_least: number}`",
    &[Shape::Scalar, Shape::Record(&Record { what: "positive answer", keys: &AT_LEAST, rest: None })],
);
static AT_LEAST: [Key; 1] = [need("at_least", Shape::Decimal(6, 9_000_000_000_000))];

static ANSWERS: Record = record(
    "place of answers",
    &[
        need("event", Shape::OneOrMany(&Shape::Text)),
        need("criterion", Shape::Text),
        need("value", Shape::Text),
    ],
);

static FRAMEWORK: Record = Record {
    what: "framework",
    keys: &[key("alias", Shape::Map(&Shape::Id, &Shape::Id))],
    rest: Some((&Shape::Id, &POINTS)),
};

/// A list's values, or the file that holds them.
static LIST: Shape =
    Shape::Either("a list of values, or the name of a file", &[Shape::List(&Shape::Scalar), Shape::Text]);

static VERDICT: Record = record(
    "verdict",
    &[
        need("id", Shape::Id),
        key("event", Shape::OneOrMany(&Shape::Text)),
        key("where", Shape::Predicate),
        key("when", Shape::Predicate),
        need(
            "reason",
            Shape::Either("a reason, or `{from: properties.x}`", &[Shape::Text, Shape::Record(&FROM)]),
        ),
        key("until", Shape::Duration),
        key("cap_stage", Shape::Id),
    ],
);

static FROM: Record = record("reason", &[need("from", Shape::Text)]);

static STAGE: Record = record(
    "stage",
    &[
        need("id", Shape::Id),
        need("owner", Shape::Id),
        key("enter", Shape::Predicate),
        key("exit", Shape::Predicate),
        key("min_dwell", Shape::Duration),
        key("terminal", Shape::Boolean),
        key("overrides", Shape::Word(&["all"])),
    ],
);

static FEEDBACK: Record = record(
    "feedback",
    &[
        key("set", SET),
        key("unset", Shape::OneOrMany(&Shape::Name)),
        key("lift", Shape::OneOrMany(&Shape::Id)),
        key("cooldown", Shape::Record(&COOLDOWN)),
        key("recycle_to", Shape::Id),
        key("for", Shape::Duration),
        key("clear", Shape::OneOrMany(&Shape::Name)),
        key("reopen", Shape::OneOrMany(&Shape::Id)),
        key("value", Shape::Scalar),
    ],
);

static COOLDOWN: Record = record("cool-down", &[need("stage", Shape::Id), need("for", Shape::Duration)]);

static CASE: Shape = Shape::Pair(&Shape::Predicate, &Shape::Scalar);

static ROUTE: Record = Record {
    what: "route section",
    keys: &[key("topic", Shape::List(&Shape::Name))],
    rest: Some((&Shape::Id, &Shape::List(&CASE))),
};

static VALUE: Record = record(
    "value section",
    &[need("probability", Shape::Map(&Shape::Id, &Shape::Decimal(6, 1))), need("amount", Shape::Scalar)],
);

static ALERT: Record = record(
    "alert",
    &[
        need("id", Shape::Id),
        key("event", Shape::OneOrMany(&Shape::Text)),
        key("where", Shape::Predicate),
        key("when", Shape::Predicate),
        key("to", Shape::OneOrMany(&Shape::Text)),
        key("cool_down", Shape::Duration),
    ],
);

static HANDOVER: Record = record(
    "handover section",
    &[
        need("stages", IDS),
        key("require", TEXTS),
        key("enrich", TEXTS),
        key("max_wait", Shape::Duration),
        key("history", Shape::Integer(0, MOST_HISTORY)),
    ],
);

static RESPONSE: Record = record(
    "response clock",
    &[
        need("within", Shape::Duration),
        need("answered_by", Shape::OneOrMany(&Shape::Text)),
        key("escalate", Shape::List(&Shape::Duration)),
        key("hours", Shape::Map(&Shape::Text, &Shape::OneOrMany(&Shape::Text))),
    ],
);

static PERSONA: Record = record(
    "test",
    &[
        need("name", Shape::Text),
        key("start", Shape::Text),
        key("traits", VALUES),
        key("events", Shape::List(&Shape::Record(&PERSONA_EVENT))),
        need(
            "expect",
            Shape::Either(
                "an expectation or a list of them",
                &[Shape::Record(&EXPECT), Shape::List(&Shape::Record(&EXPECT))],
            ),
        ),
    ],
);

/// Names to values as a record carries them.
const VALUES: Shape = Shape::Map(&Shape::Text, &VALUE_OR_VALUES);
static VALUE_OR_VALUES: Shape = Shape::Either(
    "a value, a list or a map",
    &[Shape::Scalar, Shape::List(&Shape::Scalar), Shape::Map(&Shape::Text, &Shape::Scalar)],
);

static PERSONA_EVENT: Record = record(
    "test's event",
    &[
        need("at", Shape::Duration),
        need("event", Shape::Text),
        key("event_id", Shape::Scalar),
        key("path", Shape::Text),
        key("url", Shape::Text),
        key(
            "utm",
            Shape::Map(&Shape::Word(&["source", "medium", "campaign", "term", "content"]), &Shape::Text),
        ),
        key("properties", VALUES),
        key("traits", VALUES),
        key("origin", Shape::Word(&["web", "app", "server"])),
        key("session", Shape::Scalar),
        key("known", Shape::Boolean),
    ],
);

static EXPECT: Record = record(
    "test's expectation",
    &[
        key("at", Shape::Duration),
        key("stage", Shape::Id),
        key("owner", Shape::Id),
        key("in", Shape::OneOrMany(&Shape::Id)),
        key("not_in", Shape::OneOrMany(&Shape::Id)),
        key("score", Shape::Map(&Shape::Name, &BOUND)),
        key("handover", Shape::Scalar),
        key("response", Shape::Scalar),
        key("alert", Shape::OneOrMany(&Shape::Id)),
        key("demoted_by", Shape::Duration),
        key("never", Shape::OneOrMany(&Shape::Id)),
    ],
);
