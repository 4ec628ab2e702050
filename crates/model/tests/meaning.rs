//! What compiled conditions mean, against a second interpreter that knows nothing of the first: it works on the
//! generated expression itself, with texts and 128-bit numbers.

use std::collections::HashMap;

use proptest::prelude::*;
use ripen_model::compiled::{Model, PageKindIx};
use ripen_model::expression::{
    Comparison, Constant, EventField, EventPredicate, Expression, FieldValue, Fields, LeadTest, List, Test,
};
use ripen_model::{compile, parse_micros};

const FIELDS: [&str; 8] = [
    "properties.a",
    "properties.b",
    "properties['c d']",
    "traits.e",
    "utm.source",
    "visit.pages",
    "page.model_id",
    "event",
];

const OPERATORS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// A value of a field, as a record would carry it.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Absent,
    Boolean(bool),
    /// The number's JSON text.
    Number(&'static str),
    Text(&'static str),
    List(Vec<Value>),
}

/// A leaf, as it is written.
#[derive(Debug, Clone)]
enum Leaf {
    Compare(usize, &'static str, Value),
    CompareFlipped(Value, &'static str, usize),
    Fields(usize, &'static str, usize),
    In(usize, Vec<Value>),
    Has(Value, usize),
    Function(&'static str, usize, &'static str),
    Present(usize),
    Bare(usize),
    Kind(&'static str, bool),
}

#[derive(Debug, Clone)]
enum Tree {
    Leaf(Leaf),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

// ---- the naive interpreter

/// Millionths of a plain decimal, by hand; the generator's numbers have at most 6 decimals.
fn naive_number(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if !all_digits(units) || !all_digits(decimals) {
        return None;
    }
    let padded = format!("{decimals:0<6}");
    Some(sign * (units.parse::<i128>().unwrap() * 1_000_000 + padded[..6].parse::<i128>().unwrap()))
}

fn naive_text(number: &str) -> String {
    if !number.contains('.') {
        return number.to_owned();
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn by_operator<T: Ord>(left: T, operator: &str, right: T) -> bool {
    match operator {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

/// `constant`: the right side is a constant, whose type decides.
fn naive_compare(left: &Value, operator: &str, right: &Value, constant: bool) -> bool {
    match (left, right) {
        (Value::Absent | Value::List(_) | Value::Text(""), _) => false,
        (_, Value::Absent | Value::List(_) | Value::Text("")) => false,
        (Value::Boolean(_), _) | (_, Value::Boolean(_)) => match operator {
            "==" => left == right,
            "!=" => left != right,
            _ => false,
        },
        (Value::Text(left), Value::Text(right)) => by_operator(*left, operator, *right),
        (Value::Number(left), Value::Text(right)) if constant => {
            by_operator(naive_text(left).as_str(), operator, right)
        }
        (Value::Text(left) | Value::Number(left), Value::Text(right) | Value::Number(right)) => {
            match (naive_number(left), naive_number(right)) {
                (Some(left), Some(right)) => by_operator(left, operator, right),
                _ => false,
            }
        }
    }
}

fn flip(operator: &str) -> &'static str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        "==" => "==",
        _ => "!=",
    }
}

fn naive_leaf(leaf: &Leaf, values: &[Value], kind: Option<usize>) -> bool {
    let text_of = |value: &Value| match value {
        Value::Text("") => None,
        Value::Text(text) => Some((*text).to_owned()),
        Value::Number(number) => Some(naive_text(number)),
        _ => None,
    };
    match leaf {
        Leaf::Compare(field, operator, constant) => naive_compare(&values[*field], operator, constant, true),
        Leaf::CompareFlipped(constant, operator, field) => {
            naive_compare(&values[*field], flip(operator), constant, true)
        }
        Leaf::Fields(left, operator, right) => {
            naive_compare(&values[*left], operator, &values[*right], false)
        }
        Leaf::In(field, constants) => {
            constants.iter().any(|constant| naive_compare(&values[*field], "==", constant, true))
        }
        Leaf::Has(constant, field) => match &values[*field] {
            Value::List(items) => items.iter().any(|item| naive_compare(item, "==", constant, true)),
            _ => false,
        },
        Leaf::Function(function, field, part) => {
            text_of(&values[*field]).is_some_and(|text| match *function {
                "startsWith" => text.starts_with(part),
                "endsWith" => text.ends_with(part),
                // The parts are plain letters and digits: a pattern of them is found where the text is.
                _ => text.contains(part),
            })
        }
        Leaf::Present(field) => match &values[*field] {
            Value::Absent | Value::Text("") => false,
            Value::List(items) => !items.is_empty(),
            _ => true,
        },
        Leaf::Bare(field) => values[*field] == Value::Boolean(true),
        Leaf::Kind(name, equal) => match kind {
            None => false,
            Some(kind) => (["model", "price"][kind] == *name) == *equal,
        },
    }
}

fn naive(tree: &Tree, values: &[Value], kind: Option<usize>) -> bool {
    match tree {
        Tree::Leaf(leaf) => naive_leaf(leaf, values, kind),
        Tree::Not(inner) => !naive(inner, values, kind),
        Tree::And(left, right) => naive(left, values, kind) & naive(right, values, kind),
        Tree::Or(left, right) => naive(left, values, kind) | naive(right, values, kind),
    }
}

// ---- writing expressions down

fn write_constant(value: &Value) -> String {
    match value {
        Value::Boolean(truth) => truth.to_string(),
        Value::Number(number) => (*number).to_owned(),
        Value::Text(text) => format!("'{text}'"),
        other => panic!("no constant: {other:?}"),
    }
}

fn write(tree: &Tree) -> String {
    match tree {
        Tree::Not(inner) => format!("!({})", write(inner)),
        Tree::And(left, right) => format!("({}) && ({})", write(left), write(right)),
        Tree::Or(left, right) => format!("({}) || ({})", write(left), write(right)),
        Tree::Leaf(leaf) => match leaf {
            Leaf::Compare(field, operator, constant) => {
                format!("{} {operator} {}", FIELDS[*field], write_constant(constant))
            }
            Leaf::CompareFlipped(constant, operator, field) => {
                format!("{} {operator} {}", write_constant(constant), FIELDS[*field])
            }
            Leaf::Fields(left, operator, right) => format!("{} {operator} {}", FIELDS[*left], FIELDS[*right]),
            Leaf::In(field, constants) => {
                let constants: Vec<String> = constants.iter().map(write_constant).collect();
                format!("{} in [{}]", FIELDS[*field], constants.join(", "))
            }
            Leaf::Has(constant, field) => format!("{} in {}", write_constant(constant), FIELDS[*field]),
            Leaf::Function(function, field, part) => format!("{}.{function}('{part}')", FIELDS[*field]),
            Leaf::Present(field) => format!("has({})", FIELDS[*field]),
            Leaf::Bare(field) => FIELDS[*field].to_owned(),
            Leaf::Kind(name, true) => format!("page.kind == '{name}'"),
            Leaf::Kind(name, false) => format!("page.kind != '{name}'"),
        },
    }
}

// ---- the compiled side

/// A model with one rule for each condition.
fn model_of(conditions: &[String]) -> Model {
    let mut text = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\nstages: [{id: a, owner: b}]\n\
                    pages: {model: [\"/models/{model_id}\"], price: /price}\nrules:\n"
        .to_owned();
    for (ix, condition) in conditions.iter().enumerate() {
        text.push_str(&format!("  - {{id: r{ix}, event: e, where: \"{condition}\"}}\n"));
    }
    compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"))
}

struct Record<'a> {
    model: &'a Model,
    values: &'a [Value],
    lists: HashMap<usize, Items>,
    kind: Option<usize>,
}

#[derive(Debug)]
struct Items(Vec<Value>);

impl List for Items {
    fn any(&self, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        self.0.iter().filter_map(simple).any(test)
    }
}

fn simple(value: &Value) -> Option<FieldValue<'_>> {
    match value {
        Value::Boolean(truth) => Some(FieldValue::Boolean(*truth)),
        Value::Number(text) => Some(FieldValue::Number(parse_micros(text).unwrap())),
        Value::Text("") => None,
        Value::Text(text) => Some(FieldValue::Text(text)),
        Value::Absent | Value::List(_) => None,
    }
}

impl<'a> Record<'a> {
    fn new(model: &'a Model, values: &'a [Value], kind: Option<usize>) -> Self {
        let lists = values.iter().enumerate().filter_map(|(ix, value)| match value {
            Value::List(items) => Some((ix, Items(items.clone()))),
            _ => None,
        });
        Record { model, values, lists: lists.collect(), kind }
    }
}

impl Fields for Record<'_> {
    fn field(&self, field: EventField) -> Option<FieldValue<'_>> {
        let name = match field {
            EventField::Property(ix) => match self.model.properties[ix.ix()].as_str() {
                "c d" => "properties['c d']".to_owned(),
                name => format!("properties.{name}"),
            },
            EventField::RecordTrait(ix) => format!("traits.{}", self.model.record_traits[ix.ix()]),
            EventField::PageParameter(ix) => format!("page.{}", self.model.page_parameters[ix.ix()]),
            EventField::UtmSource => "utm.source".to_owned(),
            EventField::VisitPages => "visit.pages".to_owned(),
            EventField::Event => "event".to_owned(),
            EventField::PageKind => return self.kind.map(|kind| FieldValue::Text(["model", "price"][kind])),
            other => panic!("nobody asked for {other:?}"),
        };
        let ix = FIELDS.iter().position(|field| *field == name).unwrap();
        match self.lists.get(&ix) {
            Some(items) => Some(FieldValue::List(items)),
            None => simple(&self.values[ix]),
        }
    }

    fn page_kind(&self) -> Option<PageKindIx> {
        self.kind.map(|kind| PageKindIx(kind as u16))
    }
}

// ---- random expressions and values

const TEXTS: [&str; 12] = ["a", "ab", "b", "1", "1.0", "1.50", "10", "-0.5", "true", "1e3", "тест", " 1"];
const NUMBERS: [&str; 8] = ["0", "1", "1.0", "1.5", "10", "-0.5", "1000", "0.000001"];

fn constant() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        prop::sample::select(&NUMBERS[..]).prop_map(Value::Number),
        prop::sample::select(&TEXTS[..]).prop_map(Value::Text),
    ]
}

fn ordered_constant() -> impl Strategy<Value = Value> {
    constant().prop_filter("a boolean has no order", |value| !matches!(value, Value::Boolean(_)))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Absent),
        1 => Just(Value::Text("")),
        4 => constant(),
        1 => prop::collection::vec(constant(), 0..3).prop_map(Value::List),
    ]
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let field = 0..FIELDS.len();
    let operator = prop::sample::select(&OPERATORS[..]);
    let equality = prop::sample::select(&OPERATORS[..2]);
    let function = prop::sample::select(&["startsWith", "endsWith", "contains", "matches"][..]);
    prop_oneof![
        (field.clone(), operator.clone(), ordered_constant()).prop_map(|(f, o, c)| Leaf::Compare(f, o, c)),
        (field.clone(), equality, constant()).prop_map(|(f, o, c)| Leaf::Compare(f, o, c)),
        (ordered_constant(), operator.clone(), field.clone())
            .prop_map(|(c, o, f)| Leaf::CompareFlipped(c, o, f)),
        (field.clone(), operator, field.clone()).prop_map(|(l, o, r)| Leaf::Fields(l, o, r)),
        (field.clone(), prop::collection::vec(constant(), 1..4)).prop_map(|(f, c)| Leaf::In(f, c)),
        (constant(), field.clone()).prop_map(|(c, f)| Leaf::Has(c, f)),
        (function, field.clone(), prop::sample::select(&["a", "1", "0", "т"][..]))
            .prop_map(|(n, f, p)| Leaf::Function(n, f, p)),
        field.clone().prop_map(Leaf::Present).prop_filter("an event is no field that `has` takes", |leaf| {
            !matches!(leaf, Leaf::Present(2 | 7))
        }),
        field.prop_map(Leaf::Bare),
        (prop::sample::select(&["model", "price"][..]), any::<bool>()).prop_map(|(k, e)| Leaf::Kind(k, e)),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_map(Tree::Leaf).prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::And(Box::new(l), Box::new(r))),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Or(Box::new(l), Box::new(r))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_conditions_mean_what_the_naive_ones_do(
        trees in prop::collection::vec(tree(), 8),
        records in prop::collection::vec((prop::collection::vec(value(), FIELDS.len()), prop::option::of(0_usize..2)), 12),
    ) {
        let conditions: Vec<String> = trees.iter().map(write).collect();
        let model = model_of(&conditions);
        for (rule, (tree, text)) in model.rules.iter().zip(trees.iter().zip(&conditions)) {
            let condition: &EventPredicate = rule.condition.as_ref().unwrap();
            for (values, kind) in &records {
                let record = Record::new(&model, values, *kind);
                prop_assert_eq!(condition.matches(&record), naive(tree, values, *kind), "{} over {:?}", text, values);
            }
        }
    }
}

// ---- conditions on leads

fn lead_tests(condition: &str) -> (Model, Vec<(String, LeadTest)>) {
    let text = format!(
        "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\n\
         scores: {{a: {{half_life: 7d}}, b: {{half_life: 3d}}, c: {{half_life: never}}}}\n\
         rules: [{{id: view, event: e, once_per: [page.path], max: 5, set: {{contact: true, magnet: 3d}}}}, \
         {{id: every, event: f, set: {{magnet: 3d}}}}]\n\
         stages:\n  - {{id: x, owner: o}}\n  - {{id: y, owner: o, enter: \"{condition}\"}}\n"
    );
    let model = compile("m.yaml", &text).unwrap_or_else(|errors| panic!("{errors}"));
    let atoms = model.stages[1].enter.as_ref().unwrap().atoms();
    let atoms = atoms.into_iter().map(|atom| (atom.text.clone(), atom.test.clone())).collect();
    (model, atoms)
}

/// What an atom tests, in one line.
fn brief(test: &LeadTest) -> String {
    match test {
        LeadTest::Score { terms, comparison, threshold_nano } => {
            let terms: Vec<String> =
                terms.iter().map(|(score, weight)| format!("{weight}·s{}", score.0)).collect();
            format!("{} {comparison:?} {threshold_nano}", terms.join(" + "))
        }
        LeadTest::Fact(fact) => format!("fact {}", fact.0),
        LeadTest::Trait(ix, Test::Compare(comparison, Constant::Number(micros))) => {
            format!("trait {} {comparison:?} {micros}", ix.0)
        }
        LeadTest::Trait(ix, test) => {
            format!("trait {} {}", ix.0, format!("{test:?}").split('(').next().unwrap())
        }
        LeadTest::Traits(left, comparison, right) => {
            format!("trait {} {comparison:?} trait {}", left.0, right.0)
        }
        LeadTest::Known => "known".to_owned(),
        LeadTest::KnownFor { age_ms } => format!("known for {age_ms}"),
        LeadTest::Window { measure, rule, window_ms, comparison, threshold } => {
            format!("{measure:?} rule {} over {window_ms} {comparison:?} {threshold}", rule.0)
        }
        LeadTest::AnyDefinition => "any definition".to_owned(),
        LeadTest::Disqualified => "disqualified".to_owned(),
        LeadTest::Stage(within) => format!("stage {within:?}"),
        LeadTest::StageFor { age_ms } => format!("stage for {age_ms}"),
    }
}

#[test]
fn atoms_keep_their_words() {
    for (condition, text, test) in [
        ("score.a>=30", "score.a >= 30", "1000000·s0 GreaterOrEqual 30000000000"),
        ("30.125 <  score.a", "30.125 < score.a", "1000000·s0 Greater 30125000000"),
        ("score.a > 0", "score.a > 0", "1000000·s0 Greater 0"),
        ("score.a > -0.5", "score.a > -0.5", "1000000·s0 Greater -500000000"),
        (
            "(score.a-score.b)-score.c > 0",
            "score.a - score.b - score.c > 0",
            "1000000·s0 + -1000000·s1 + -1000000·s2 Greater 0",
        ),
        (
            "score.a-(score.b-score.c) > 0",
            "score.a - (score.b - score.c) > 0",
            "1000000·s0 + -1000000·s1 + 1000000·s2 Greater 0",
        ),
        (
            "1 < score.a+(score.b-1)",
            "1 < score.a + score.b - 1",
            "1000000·s0 + 1000000·s1 Greater 2000000000",
        ),
        (
            "score.a - 0.5*score.b > -2",
            "score.a - 0.5 * score.b > -2",
            "1000000·s0 + -500000·s1 Greater -2000000000",
        ),
        (
            "2*(score.a+score.b) < score.c",
            "2 * (score.a + score.b) < score.c",
            "2000000·s0 + 2000000·s1 + -1000000·s2 Less 0",
        ),
        ("-(score.a) + 10 <= 5", "-score.a + 10 <= 5", "1000000·s0 GreaterOrEqual 5000000000"),
        ("fact.contact", "fact.contact", "fact 0"),
        ("known", "known", "known"),
        ("known_for( '1d' )", "known_for('1d')", "known for 86400000"),
        ("traits.x.y > 0.1", "traits.x.y > 0.1", "trait 0 Greater 100000"),
        ("'т' in traits.tags", "'т' in traits.tags", "trait 0 Has"),
        ("has(traits.email)", "has(traits.email)", "trait 0 Present"),
        ("traits.vip", "traits.vip", "trait 0 IsTrue"),
        ("traits.a < traits.b", "traits.a < traits.b", "trait 0 Less trait 1"),
        ("traits.role in ['a','b']", "traits.role in ['a', 'b']", "trait 0 In"),
        ("seen('view', '1w')", "seen('view', '1w')", "Count rule 0 over 604800000 GreaterOrEqual 1"),
        ("3 <= days('view','7d')", "3 <= days('view', '7d')", "Days rule 0 over 604800000 GreaterOrEqual 3"),
        (
            "sum('view', amount, '1h') > 0.5",
            "sum('view', amount, '1h') > 0.5",
            "Sum rule 0 over 3600000 Greater 500000",
        ),
    ] {
        let (_, atoms) = lead_tests(condition);
        assert_eq!(atoms.len(), 1, "{condition}");
        assert_eq!((atoms[0].0.as_str(), brief(&atoms[0].1).as_str()), (text, test), "{condition}");
    }
}

#[test]
fn atoms_that_are_told_keep_their_words() {
    for (condition, text, test) in [
        ("stage=='y'", "stage == 'y'", "stage [false, true, false]"),
        ("'y' != stage", "'y' != stage", "stage [true, false, true]"),
        ("stage in ['x','z']", "stage in ['x', 'z']", "stage [true, false, true]"),
        ("stage_for( '3d' )", "stage_for('3d')", "stage for 259200000"),
        ("disqualified", "disqualified", "disqualified"),
        ("any_definition", "any_definition", "any definition"),
        ("answers.money >= 5", "answers.money >= 5", "trait 0 GreaterOrEqual 5000000"),
        ("has(answers.budget)", "has(answers.budget)", "trait 0 Present"),
        ("answers.plans in ['soon']", "answers.plans in ['soon']", "trait 1 In"),
    ] {
        let text_of_model = format!(
            "apiVersion: ripen/v1\nmodel: {{id: m, version: 1}}\nscores: {{a: {{half_life: never}}}}\n\
             frameworks: {{use: F, score: a, F: {{money: 1, alias: {{money: budget}}}}, \
             answers: {{event: q, criterion: properties.c, value: properties.v}}}}\n\
             definitions: {{d: known}}\ndisqualify: [{{id: v, when: known, reason: r}}]\n\
             stages: [{{id: x, owner: o}}, {{id: y, owner: o, enter: known}}, {{id: z, owner: o, enter: known}}]\n\
             audiences: {{w: \"{condition}\"}}\n"
        );
        let model = compile("m.yaml", &text_of_model).unwrap_or_else(|errors| panic!("{errors}"));
        let atoms = model.audiences[0].when.atoms();
        let [atom] = &atoms[..] else { panic!("{condition}") };
        assert_eq!((atom.text.as_str(), brief(&atom.test).as_str()), (text, test));
    }
}

#[test]
fn numbers_behind_texts_of_other_alphabets_are_exact() {
    let (_, atoms) =
        lead_tests("traits['город'] == 'Москва' || 'тест' == traits['имя'] && traits.x >= 0.000001");
    // CEL's identifiers are ASCII: other names are written as an index.
    assert_eq!(atoms.len(), 3);
    assert_eq!(brief(&atoms[2].1), "trait 2 GreaterOrEqual 1");
}

#[test]
fn windows_and_facts_reach_their_rules() {
    let (model, _) = lead_tests("seen('every', '30d') && sum('view', amount, '30d') > 1 && fact.magnet");
    let [view, every] = &model.rules[..] else { panic!("two rules") };
    assert_eq!((view.windowed, view.max, view.summed.map(|ix| ix.0)), (true, Some(5), Some(0)));
    assert_eq!((every.windowed, every.max, every.summed), (true, Some(32), None));
    assert_eq!(model.properties, ["amount"]);
    // One fact, set with one time to live by two rules.
    assert_eq!(model.facts[1].ttls_ms, [Some(3 * 86_400_000)]);
    assert_eq!(model.facts[0].ttls_ms, [None]);
    assert_eq!(every.set[0].1, 0);
}

/// A sum of scores as it is written, with its value in billionths.
#[derive(Debug, Clone)]
enum Sum {
    Score(usize),
    Number(i64),
    Add(Box<Sum>, Box<Sum>),
    Subtract(Box<Sum>, Box<Sum>),
    /// A factor in hundredths.
    Scale(i64, Box<Sum>),
}

fn hundredths(value: i64) -> String {
    format!("{}{}.{:02}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100)
}

impl Sum {
    fn text(&self) -> String {
        match self {
            Sum::Score(ix) => format!("score.{}", ["a", "b", "c"][*ix]),
            Sum::Number(units) => units.to_string(),
            Sum::Add(left, right) => format!("({} + {})", left.text(), right.text()),
            Sum::Subtract(left, right) => format!("({} - {})", left.text(), right.text()),
            Sum::Scale(factor, inner) => format!("{} * {}", hundredths(*factor), inner.text()),
        }
    }

    /// Billionths, for scores in thousandths. Scales nest twice at most, so hundredths stay exact.
    fn value(&self, scores_milli: &[i64; 3]) -> i128 {
        match self {
            Sum::Score(ix) => i128::from(scores_milli[*ix]) * 1_000_000,
            Sum::Number(units) => i128::from(*units) * 1_000_000_000,
            Sum::Add(left, right) => left.value(scores_milli) + right.value(scores_milli),
            Sum::Subtract(left, right) => left.value(scores_milli) - right.value(scores_milli),
            Sum::Scale(factor, inner) => inner.value(scores_milli) * i128::from(*factor) / 100,
        }
    }
}

fn score_sum() -> impl Strategy<Value = Sum> {
    let term = prop_oneof![(0_usize..3).prop_map(Sum::Score), (-50_i64..50).prop_map(Sum::Number)];
    let scaled = prop_oneof![
        term.clone(),
        (-300_i64..300, term.clone()).prop_map(|(factor, inner)| Sum::Scale(factor, Box::new(inner)))
    ];
    let added = (scaled.clone(), scaled, any::<bool>()).prop_map(|(left, right, add)| match add {
        true => Sum::Add(Box::new(left), Box::new(right)),
        false => Sum::Subtract(Box::new(left), Box::new(right)),
    });
    prop_oneof![term, added]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_of_scores_are_exact(
        left in score_sum(),
        right in score_sum(),
        operator in 0_usize..6,
        scores in prop::collection::vec([-90_000_i64..90_000, -90_000_i64..90_000, -90_000_i64..90_000], 8),
    ) {
        let condition = format!("{} {} {}", left.text(), OPERATORS[operator], right.text());
        let header = "apiVersion: ripen/v1\nmodel: {id: m, version: 1}\n\
                      scores: {a: {half_life: 7d}, b: {half_life: 3d}, c: {half_life: never}}\n";
        let stages = format!("stages: [{{id: x, owner: o}}, {{id: y, owner: o, enter: \"{condition}\"}}]\n");
        match compile("m.yaml", &format!("{header}{stages}")) {
            // Two sides that cancel leave no score: that is found, and only that.
            Err(errors) => prop_assert!(
                errors.findings.iter().all(|f| f.message.contains("would never change")), "{}", errors
            ),
            Ok(model) => {
                let Some(Expression::Atom(atom)) = &model.stages[1].enter else { panic!("one atom") };
                let LeadTest::Score { terms, comparison, threshold_nano } = &atom.test else { panic!("a score") };
                for milli in &scores {
                    let sum: i128 =
                        terms.iter().map(|(ix, weight)| i128::from(*weight) * i128::from(milli[ix.ix()])).sum();
                    let expect = by_operator(left.value(milli), OPERATORS[operator], right.value(milli));
                    prop_assert_eq!(comparison.holds(sum.cmp(threshold_nano)), expect, "{}", condition);
                }
            }
        }
    }
}

#[test]
fn a_flipped_comparison_is_the_same_question() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    for comparison in [Comparison::Equal, Comparison::NotEqual, Comparison::Less, Comparison::GreaterOrEqual]
    {
        for order in [Less, Equal, Greater] {
            assert_eq!(comparison.holds(order), comparison.flipped().holds(order.reverse()));
        }
    }
}

#[test]
fn what_is_read_of_pages_is_known() {
    let reads = |condition: &str| {
        let page = model_of(&[condition.to_owned()]).fields().page;
        [page.url, page.host, page.title, page.name]
    };
    assert_eq!(reads("page.path == '/a' && page.referrer == 'b' && utm.source == 'c'"), [false; 4]);
    assert_eq!(reads("page.url.contains('a')"), [true, false, false, false]);
    assert_eq!(reads("!(page.host == 'a') || event == 'b'"), [false, true, false, false]);
    assert_eq!(reads("has(page.title)"), [false, false, true, false]);
    assert_eq!(reads("page.name in ['a', 'b']"), [false, false, false, true]);
}
