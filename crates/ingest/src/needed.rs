//! What the models read from a record: everything else is skipped unseen.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use ripen_records::{Field, Text, Value};

use crate::json::{Members, Next, Raw};
use crate::privacy::{self, Addresses};

/// The fields that the models in force read, and how far into the future they let event times lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What they read of pages.
    pub page: PageFields,
    /// Properties, without `properties.` in front; dots enter nested objects.
    pub properties: Vec<NeededField>,
    /// Traits, without `traits.` in front.
    pub traits: Vec<NeededField>,
    /// Event time further ahead of its arrival is clamped and flagged, ms.
    pub max_future_ms: i64,
}

/// What is read of a page beside its path, and its referrer with the page's own host, which every activity carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the fields' own")]
pub struct PageFields {
    pub url: bool,
    pub host: bool,
    pub title: bool,
    pub name: bool,
}

impl PageFields {
    /// All of them.
    pub const ALL: PageFields = PageFields { url: true, host: true, title: true, name: true };

    fn union(self, other: PageFields) -> PageFields {
        PageFields {
            url: self.url || other.url,
            host: self.host || other.host,
            title: self.title || other.title,
            name: self.name || other.name,
        }
    }
}

/// One needed field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededField {
    /// Its name; dots enter nested objects.
    pub name: String,
    /// Set where a model declares that the field holds something personal.
    pub sensitive: Option<Sensitive>,
}

/// What leaves only as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensitive {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
}

impl NeededField {
    /// A field; one whose last name is `email` or `phone` is sensitive without being declared so.
    pub fn new(name: &str) -> NeededField {
        let sensitive = match name.rsplit('.').next() {
            Some("email") => Some(Sensitive::Email),
            Some("phone") => Some(Sensitive::Phone),
            _ => None,
        };
        NeededField { name: name.to_owned(), sensitive }
    }
}

impl Default for Needed {
    /// No field; five minutes of future.
    fn default() -> Needed {
        Needed {
            page: PageFields::default(),
            properties: Vec::new(),
            traits: Vec::new(),
            max_future_ms: 300_000,
        }
    }
}

impl Needed {
    /// What both need.
    #[must_use]
    pub fn union(mut self, other: Needed) -> Needed {
        self.page = self.page.union(other.page);
        add(&mut self.properties, other.properties);
        add(&mut self.traits, other.traits);
        self.max_future_ms = self.max_future_ms.max(other.max_future_ms);
        self
    }
}

fn add(fields: &mut Vec<NeededField>, others: Vec<NeededField>) {
    for other in others {
        match fields.iter_mut().find(|field| field.name == other.name) {
            Some(field) => field.sensitive = field.sensitive.or(other.sensitive),
            None => fields.push(other),
        }
    }
}

/// The needed names of one object, by their parts.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// What is needed under this very name.
    leaf: Option<NeededField>,
    children: HashMap<Box<str>, Projection, FixedState>,
    /// A bit for each length of the children's names: most names of a record end here, unhashed.
    lengths: u64,
}

impl Projection {
    pub(crate) fn new(fields: &[NeededField]) -> Projection {
        let mut root = Projection::default();
        for field in fields {
            let node = field.name.split('.').fold(&mut root, |node, part| {
                node.lengths |= length_bit(part);
                node.children.entry(part.into()).or_default()
            });
            // Declared or not, the well-known names stay sensitive.
            let sensitive = field.sensitive.or(NeededField::new(&field.name).sensitive);
            node.leaf = Some(NeededField { name: field.name.clone(), sensitive });
        }
        root
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Projection> {
        if self.lengths & length_bit(name) == 0 {
            return None;
        }
        self.children.get(name)
    }

    /// Whether a name without dots is needed itself.
    pub(crate) fn needs(&self, name: &str) -> bool {
        self.child(name).is_some_and(|node| node.leaf.is_some())
    }
}

/// All lengths beyond the bits share the last one.
fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// The needed values of one object, in the record's order.
#[derive(Debug, Default)]
pub(crate) struct Projected<'n, 'de> {
    values: Vec<(&'n NeededField, Raw<'de>)>,
}

impl<'n, 'de> Projected<'n, 'de> {
    /// Takes a member's value: it may be needed itself, or parts of it.
    pub(crate) fn take(&mut self, node: &'n Projection, value: Raw<'de>) {
        if let Some(leaf) = &node.leaf {
            match self.values.iter_mut().find(|(field, _)| field.name == leaf.name) {
                Some((_, held)) => *held = value,
                None => self.values.push((leaf, value)),
            }
        }
        if !node.children.is_empty() {
            // The text was checked when it was skipped over, and depth here is that of the needed names.
            let _ = value.read(&mut Nested { node, projected: self });
        }
    }

    /// Adds the values that this object does not have.
    pub(crate) fn fill_from(&mut self, other: Projected<'n, 'de>) {
        for (field, value) in other.values {
            match self.values.iter_mut().find(|(held, _)| held.name == field.name) {
                Some((_, held)) => *held = held.or_if_empty(value),
                None => self.values.push((field, value)),
            }
        }
    }

    /// The present values, with what is personal hashed.
    pub(crate) fn into_fields(self, addresses: Addresses) -> Vec<Field<'de>>
    where
        'n: 'de,
    {
        let field = |(field, raw): (&'n NeededField, Raw<'de>)| {
            let value = safe_value(field, raw, addresses)?;
            Some(Field { name: Text::from(field.name.as_str()), value })
        };
        self.values.into_iter().filter_map(field).collect()
    }
}

struct Nested<'p, 'n, 'de> {
    node: &'n Projection,
    projected: &'p mut Projected<'n, 'de>,
}

impl<'de> Members<'de> for Nested<'_, '_, 'de> {
    fn member<N: Next<'de>>(&mut self, name: &str, next: &mut N) -> Result<(), N::Error> {
        match self.node.child(name) {
            Some(node) => {
                let value = next.raw()?;
                self.projected.take(node, value);
                Ok(())
            }
            None => next.skip(),
        }
    }
}

/// A field's value as it may leave: hashed if the field is sensitive or the value looks like an address;
/// addresses within longer texts are cut.
fn safe_value<'a>(field: &NeededField, raw: Raw<'a>, addresses: Addresses) -> Option<Value<'a>> {
    let hashed = |hash: Option<String>| hash.map(|hash| Value::String(hash.into()));
    match field.sensitive {
        Some(Sensitive::Email) => hashed(privacy::email_hash(&raw.text()?)),
        Some(Sensitive::Phone) => hashed(privacy::phone_hash(&raw.text()?).map(|(hash, _)| hash)),
        None => raw.value().and_then(|value| safe(value, field.name.ends_with("email_domain"), addresses)),
    }
}

fn safe(value: Value<'_>, is_domain: bool, addresses: Addresses) -> Option<Value<'_>> {
    match value {
        Value::String(text) if is_domain => {
            let domain = text.trim().to_lowercase();
            let domain = domain.rsplit('@').next().unwrap_or_default().to_owned();
            (!domain.is_empty()).then(|| Value::String(domain.into()))
        }
        Value::String(text) if addresses.is_one(&text) => {
            privacy::email_hash(&text).map(|hash| Value::String(hash.into()))
        }
        Value::String(text) => Some(Value::String(Text(addresses.cut_from(text.0)))),
        Value::Array(values) => {
            let safe = |value| safe(value, is_domain, addresses);
            Some(Value::Array(values.into_iter().filter_map(safe).collect()))
        }
        Value::Boolean(_) | Value::Number { .. } => Some(value),
    }
}
