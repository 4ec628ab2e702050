//! The file format: every section and key of the language with its shape and what it is for. The loader checks files
//! against these tables, and the schema for editors is printed from them.

use crate::shape::{Record, Rest, Shape, key, need, record};

/// The whole file.
pub(crate) static FILE: Shape = Shape::Record(&Record {
    what: "model file",
    keys: &[
        need("apiVersion", Shape::Word(&["ripen/v1"]), "The version of the language."),
        need("model", Shape::Record(&MODEL), "Which model this is, and who agreed on it."),
        key("time", Shape::Record(&TIME), "Zone, lateness, forgetting."),
        key("pages", Shape::Record(&PAGES), "Page kinds by URL path."),
        key("traits", Shape::Map(&Shape::Text, &Shape::Record(&TRAIT)), "Where traits are read from."),
        key("scores", Shape::Map(&Shape::Name, &Shape::Record(&SCORE)), "The scores and how fast they fade."),
        key("groups", Shape::Map(&Shape::Id, &Shape::Record(&GROUP)), "Caps on what rules give together."),
        key("rules", Shape::List(&Shape::Record(&RULE)), "What activities are worth."),
        key("bonuses", Shape::List(&Shape::Record(&BONUS)), "Points while a condition holds."),
        key("fit", Shape::List(&Shape::Record(&FIT)), "Points from what a lead is."),
        key("frameworks", Shape::Record(&FRAMEWORKS), "Qualification by questions: BANT, ANUM, your own."),
        key(
            "definitions",
            Shape::Map(&Shape::Id, &Shape::Predicate),
            "Portraits of a sales-ready lead; `any_definition` is true if one fits.",
        ),
        key("disqualify", Shape::List(&Shape::Record(&VERDICT)), "Who is no lead, and why."),
        key("lists", Shape::Map(&Shape::Name, &LIST), "Named lists for `in lists.<name>`."),
        need("stages", Shape::List(&Shape::Record(&STAGE)), "The steps of the funnel, lowest first."),
        key("feedback", Shape::Map(&Shape::Text, &Shape::Record(&FEEDBACK)), "What the CRM's answers do."),
        key(
            "audiences",
            Shape::Map(&Shape::Id, &Shape::Predicate),
            "Conditions whose begin and end are emitted.",
        ),
        key("route", Shape::Record(&ROUTE), "Attributes that travel with transitions and hand-overs."),
        key(
            "value",
            Shape::Record(&VALUE),
            "What a lead is worth: probability of its stage times an amount.",
        ),
        key("alerts", Shape::List(&Shape::Record(&ALERT)), "Messages without a change of stage."),
        key("next_step", Shape::Map(&Shape::Id, &Shape::Text), "A hint for each stage."),
        key("handover", Shape::Record(&HANDOVER), "When and how a lead goes to sales."),
        key("response", Shape::Map(&Shape::Id, &Shape::Record(&RESPONSE)), "How fast sales has to answer."),
        key(
            "tests",
            Shape::List(&Shape::Record(&PERSONA)),
            "Persons, what they do, and what has to come of it.",
        ),
    ],
    rest: None,
});

/// Thousandths; |points| ≤ 10,000.
const POINTS: Shape = Shape::Decimal(3, -10_000, 10_000);

/// A bound of a score: its range, labels, caps.
const BOUND: Shape = Shape::Decimal(3, -LARGEST_SCORE, LARGEST_SCORE);

/// A number that values are compared with.
const NUMBER: Shape = Shape::Decimal(6, -9_000_000_000_000, 9_000_000_000_000);

/// The largest magnitude of a score, in points; the range of a score that states none.
pub(crate) const LARGEST_SCORE: i64 = 1_000_000;

/// Keys that a rule may hold per lead.
pub(crate) const MOST_KEYS: i64 = 1024;

/// Event ids that a lead may remember.
pub(crate) const MOST_REMEMBERED: i64 = 4096;

/// Activities that travel with a hand-over; each takes 152 bytes of a lead's state at most.
pub(crate) const MOST_HISTORY: i64 = 400;

static TEXTS: Shape = Shape::List(&Shape::Text);
static IDS: Shape = Shape::List(&Shape::Id);
const EVENTS: Shape = Shape::OneOrMany(&Shape::Text);
const NAMES: Shape = Shape::OneOrMany(&Shape::Name);
const ONE_OR_MORE_IDS: Shape = Shape::OneOrMany(&Shape::Id);

static MODEL: Record = record(
    "model",
    &[
        need("id", Shape::Id, "The model's name."),
        need("version", Shape::Integer(1, 1_000_000_000), "Its version, a whole number."),
        key("agreed_by", TEXTS, "Departments that agreed on this version."),
        key("agreed_on", Shape::Date, "The day on which they did."),
        key("requires_agreement_of", TEXTS, "Departments without which it cannot be activated."),
    ],
);

static TIME: Record = record(
    "time section",
    &[
        key("zone", Shape::Text, "IANA name of the zone of days, weeks and hours. Default UTC."),
        key("max_future", Shape::Duration, "Event times further ahead of arrival are flagged. Default 5m."),
        key(
            "late_accept",
            Shape::Duration,
            "Activities older than this at arrival are dropped. Default 30d.",
        ),
        key("forget", Shape::Duration, "A lead without an activity is removed after this. Default 400d."),
        key(
            "forget_anonymous",
            Shape::Duration,
            "The same for one known by a cookie only, in the first stage. Default 90d.",
        ),
        key("remember", Shape::Integer(1, MOST_REMEMBERED), "Event ids that a lead remembers. Default 128."),
    ],
);

static PAGES: Record = Record {
    what: "pages section",
    keys: &[key("fold_case", Shape::Boolean, "Whether case is ignored in paths. Default false.")],
    rest: Some(Rest {
        keys: &Shape::Id,
        values: &Shape::OneOrMany(&Shape::Text),
        about: "A page kind: one or more path patterns such as `/models/{model_id}`.",
    }),
};

static TRAIT: Record = record(
    "trait",
    &[
        key("from", EVENTS, "`traits.<name>` or `properties.<name>`; the first that is present counts."),
        key(
            "kind",
            Shape::Word(&["text", "number", "bool", "email", "phone"]),
            "Its type; e-mail addresses and phone numbers are stored hashed.",
        ),
    ],
);

static SCORE: Record = record(
    "score",
    &[
        need(
            "half_life",
            Shape::Either("a duration or `never`", &[Shape::Duration, Shape::Word(&["never"])]),
            "After this time points count half.",
        ),
        key("range", Shape::Pair(&BOUND, &BOUND), "Lower and upper end. Default ±1,000,000."),
        key("labels", Shape::Map(&Shape::Id, &BOUND), "Words for parts of the range, by lower bound."),
    ],
);

static GROUP: Record = record(
    "group",
    &[
        need("score", Shape::Name, "The score that is capped."),
        key("max", BOUND, "The most that the group's rules give together."),
        key("min", BOUND, "The least that they give together."),
    ],
);

static RULE: Record = record(
    "rule",
    &[
        need("id", Shape::Id, "Its name."),
        need("event", EVENTS, "Name or names of events, or `*`."),
        key("where", Shape::Predicate, "A condition on the activity."),
        key("points", Shape::Map(&Shape::Name, &POINTS), "Points by score."),
        key("once", Shape::True, "Counts once in all."),
        key("once_per", EVENTS, "Counts once for each value: fields, `day`, `week`, `hour`."),
        key("max", Shape::Integer(1, MOST_KEYS), "Values held; those with the newest matches stay."),
        key("group", Shape::Id, "The group that caps its points."),
        key("set", SET, "Facts it makes true."),
        key("unset", NAMES, "Facts it makes false."),
        key("lift", ONE_OR_MORE_IDS, "Disqualifications it takes back."),
        key(
            "anonymous",
            Shape::Word(&["count", "ignore"]),
            "Whether records without a known id count. Default count.",
        ),
    ],
);

const SET: Shape = Shape::Map(
    &Shape::Name,
    &Shape::Either("a duration such as `30d`, or `true`", &[Shape::Duration, Shape::True]),
);

static BONUS: Record = record(
    "bonus",
    &[
        need("id", Shape::Id, "Its name."),
        need("when", Shape::Predicate, "A condition on the lead."),
        need("score", Shape::Name, "The score it feeds."),
        need("points", POINTS, "Points while the condition holds."),
    ],
);

static FIT: Record = record(
    "fit",
    &[
        need("id", Shape::Id, "Its name."),
        need("trait", Shape::Text, "The trait it reads."),
        need("score", Shape::Name, "The score it feeds."),
        key("map", Shape::Map(&Shape::Scalar, &POINTS), "Points by exact value."),
        key(
            "bands",
            Shape::List(&Shape::Pair(&NUMBER, &POINTS)),
            "Points by lower bound, largest bound first.",
        ),
        key("default", POINTS, "Points for values that the table does not name. Default 0."),
        key("missing", POINTS, "Points without a value. Default 0."),
    ],
);

static FRAMEWORKS: Record = Record {
    what: "frameworks section",
    keys: &[
        need("use", Shape::Id, "The framework that scores."),
        need("score", Shape::Name, "The score it feeds, with 0 to 100."),
        key(
            "positive",
            Shape::Map(&Shape::Id, &Shape::List(&POSITIVE)),
            "Good answers by criterion. Default `[true, \"yes\"]`.",
        ),
        need("answers", Shape::Record(&ANSWERS), "Where answers are read from."),
    ],
    rest: Some(Rest {
        keys: &Shape::Id,
        values: &Shape::Record(&FRAMEWORK),
        about: "A framework: criteria with weights.",
    }),
};

static POSITIVE: Shape =
    Shape::Either("an answer or `{at_least: number}`", &[Shape::Scalar, Shape::Record(&AT_LEAST)]);
static AT_LEAST: Record =
    record("positive answer", &[need("at_least", NUMBER, "Numbers from here upwards are good answers.")]);

static ANSWERS: Record = record(
    "place of answers",
    &[
        need("event", EVENTS, "The event or events that carry answers."),
        need("criterion", Shape::Text, "The field that names the criterion."),
        need("value", Shape::Text, "The field that holds the answer."),
    ],
);

static FRAMEWORK: Record = Record {
    what: "framework",
    keys: &[key(
        "alias",
        Shape::Map(&Shape::Id, &Shape::Id),
        "Criteria that are answered under another name.",
    )],
    rest: Some(Rest {
        keys: &Shape::Id,
        values: &Shape::Decimal(3, 0, 10_000),
        about: "A criterion's weight.",
    }),
};

/// A list's values, or the file that holds them.
static LIST: Shape =
    Shape::Either("a list of values, or the name of a file", &[Shape::List(&Shape::Scalar), Shape::Text]);

static VERDICT: Record = record(
    "disqualification",
    &[
        need("id", Shape::Id, "Its name."),
        key("event", EVENTS, "The event or events that disqualify."),
        key("where", Shape::Predicate, "A condition on that activity."),
        key("when", Shape::Predicate, "A condition on the lead; holds exactly while it does."),
        need(
            "reason",
            Shape::Either("a reason, or `{from: properties.x}`", &[Shape::Text, Shape::Record(&FROM)]),
            "The reason, or the field of the event that states it.",
        ),
        key("until", Shape::Duration, "How long it holds after the event. Default: for ever."),
        key("cap_stage", Shape::Id, "Hides the stages above this one instead of disqualifying."),
    ],
);

static FROM: Record = record("reason", &[need("from", Shape::Text, "A field of the event.")]);

static STAGE: Record = record(
    "stage",
    &[
        need("id", Shape::Id, "Its name."),
        need("owner", Shape::Id, "Who works with its leads."),
        key("enter", Shape::Predicate, "A condition on the lead that leads here."),
        key("exit", Shape::Predicate, "A condition on the lead that leads out. Without one the stage stays."),
        key("min_dwell", Shape::Duration, "How long it holds at least."),
        key("terminal", Shape::Boolean, "Left only when feedback reopens it."),
        key("overrides", Shape::Word(&["all"]), "Active, it is the lead's stage whatever else holds."),
    ],
);

static FEEDBACK: Record = record(
    "feedback",
    &[
        key("set", SET, "Facts it makes true."),
        key("unset", NAMES, "Facts it makes false."),
        key("lift", ONE_OR_MORE_IDS, "Disqualifications it takes back."),
        key("cooldown", Shape::Record(&COOLDOWN), "Leaves a stage and keeps it shut for a time."),
        key("recycle_to", Shape::Id, "Sends the lead back to this stage."),
        key(
            "for",
            Shape::Duration,
            "How long a recycled lead stays there whatever `exit` says. Default 30d.",
        ),
        key("clear", NAMES, "Scores whose evidence so far is dropped."),
        key("reopen", ONE_OR_MORE_IDS, "Terminal stages that end."),
        key("value", Shape::Scalar, "What the lead brought in: a number or a field of the event."),
    ],
);

static COOLDOWN: Record = record(
    "cool-down",
    &[
        need("stage", Shape::Id, "The stage that is left."),
        need("for", Shape::Duration, "How long it stays shut."),
    ],
);

static CASE: Shape = Shape::Pair(&Shape::Predicate, &Shape::Scalar);

static ROUTE: Record = Record {
    what: "route section",
    keys: &[key("topic", Shape::List(&Shape::Name), "Scores; the highest is the lead's topic.")],
    rest: Some(Rest {
        keys: &Shape::Id,
        values: &Shape::List(&CASE),
        about: "An attribute: pairs of condition and value, the first that holds counts.",
    }),
};

static VALUE: Record = record(
    "value section",
    &[
        need(
            "probability",
            Shape::Map(&Shape::Id, &Shape::Decimal(6, 0, 1)),
            "How probable a purchase is, by stage. 0 for stages not named.",
        ),
        need("amount", Shape::Scalar, "A number, or the trait that holds it."),
    ],
);

static ALERT: Record = record(
    "alert",
    &[
        need("id", Shape::Id, "Its name."),
        key("event", EVENTS, "The event or events that it fires at."),
        key("where", Shape::Predicate, "A condition on that activity."),
        key("when", Shape::Predicate, "A condition on the lead; fires when it begins to hold."),
        key("to", EVENTS, "Whom it is for."),
        key("cool_down", Shape::Duration, "Silent for this long after it fired."),
    ],
);

static HANDOVER: Record = record(
    "handover section",
    &[
        need("stages", IDS, "Entering one of these hands the lead over."),
        key("require", TEXTS, "Traits without which nothing is handed over."),
        key("enrich", TEXTS, "Traits that are waited for."),
        key("max_wait", Shape::Duration, "How long they are waited for. Default 0s."),
        key("history", Shape::Integer(0, MOST_HISTORY), "Latest activities that travel with it. Default 0."),
    ],
);

static RESPONSE: Record = record(
    "response clock",
    &[
        need("within", Shape::Duration, "Overdue after this."),
        need("answered_by", EVENTS, "The event or events that answer."),
        key("escalate", Shape::List(&Shape::Duration), "Escalations, counted from the same start."),
        key(
            "hours",
            Shape::Map(&Shape::Text, &Shape::OneOrMany(&Shape::Text)),
            "The clock counts only in these: `mon-fri: \"09:00-18:00\"`.",
        ),
    ],
);

static PERSONA: Record = record(
    "test",
    &[
        need("name", Shape::Text, "Who this is, in a sentence."),
        key("start", Shape::Text, "The instant of `0h`. Default 2026-01-05T00:00Z."),
        key("traits", VALUES, "Traits set at the start."),
        key("events", Shape::List(&Shape::Record(&PERSONA_EVENT)), "What happens, in the order of time."),
        need(
            "expect",
            Shape::Either(
                "an expectation or a list of them",
                &[Shape::Record(&EXPECT), Shape::List(&Shape::Record(&EXPECT))],
            ),
            "What has to come of it.",
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
        need("at", Shape::Duration, "When, from `0h`."),
        need("event", Shape::Text, "Its name."),
        key("event_id", Shape::Scalar, "Its id. Default: one of its own."),
        key("path", Shape::Text, "The page's path."),
        key("url", Shape::Text, "The page's URL."),
        key(
            "utm",
            Shape::Map(&Shape::Word(&["source", "medium", "campaign", "term", "content"]), &Shape::Text),
            "Campaign parameters.",
        ),
        key("properties", VALUES, "Properties."),
        key("traits", VALUES, "Traits that the record carries."),
        key(
            "origin",
            Shape::Word(&["web", "app", "server"]),
            "Default `server` for feedback, `web` for everything else.",
        ),
        key("session", Shape::Scalar, "The tracker's session id."),
        key("known", Shape::Boolean, "Whether there is an id beyond a cookie. Default true."),
    ],
);

static EXPECT: Record = record(
    "test's expectation",
    &[
        key("at", Shape::Duration, "When, from `0h`. Default: at the last event."),
        key("stage", Shape::Id, "The lead's stage."),
        key("owner", Shape::Id, "The stage's owner."),
        key("in", ONE_OR_MORE_IDS, "Audiences the lead is in."),
        key("not_in", ONE_OR_MORE_IDS, "Audiences it is not in."),
        key("score", Shape::Map(&Shape::Name, &BOUND), "Scores, exact to 3 decimals."),
        key(
            "handover",
            Shape::Either("`true`, `false` or `incomplete`", &[Shape::Boolean, Shape::Word(&["incomplete"])]),
            "Whether a hand-over was made up to then.",
        ),
        key(
            "response",
            Shape::Text,
            "State of the response clock: `none`, `open`, `overdue`, `escalated_1`, …",
        ),
        key("alert", ONE_OR_MORE_IDS, "Alerts that fired up to then."),
        key("demoted_by", Shape::Duration, "By when, from `0h`, time alone has ended the stage."),
        key("never", ONE_OR_MORE_IDS, "Stages that were not entered up to then."),
    ],
);
