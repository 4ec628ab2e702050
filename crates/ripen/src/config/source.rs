//! Where values come from: the YAML file with its places, the environment, flags, and the defaults.
//!
//! Nothing here knows what a value means; it knows which keys there are, and of several values for one key it
//! keeps the one of the strongest source.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::{ConfigError, ConfigErrors};
use super::keys::{DefaultValue, KEYS, Key, Kind, closest, is_section, nearest};

/// Everything that a configuration is made of, read but not looked at.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Path and text of the YAML file.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables; those that do not begin with `RIPEN_` are skipped.
    pub environment: Vec<(String, String)>,
    /// `--set KEY=VALUE` and its short forms: the flag as typed, the key, the value.
    pub flags: Vec<(String, String, String)>,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file; line and column count from 1.
    File {
        /// Its path.
        path: Arc<str>,
        /// Line.
        line: u64,
        /// Column.
        column: u64,
    },
    /// By this environment variable.
    Environment(String),
    /// By this flag.
    Flag(String),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Origin::Environment(variable) => write!(f, "environment variable {variable}"),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value with its place. No `Debug`: it may be a secret.
#[derive(Clone)]
pub struct Node {
    /// Its content.
    pub content: Content,
    /// Where it stands.
    pub origin: Origin,
}

/// What a value consists of.
#[derive(Clone)]
pub enum Content {
    /// Nothing, or `null`.
    Null,
    /// A scalar, as text.
    Scalar(String),
    /// A number with a fraction: text that needs quotes, since `1.10` would silently become `1.1`.
    Fraction,
    /// A list.
    List(Vec<Node>),
    /// A map: names with their places, and values.
    Map(Vec<(String, Origin, Node)>),
}

/// The value of each key that has one, from its strongest source.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Node>,
    /// Variables that look like one of Ripen's but are none, with the one that was probably meant.
    pub doubtful_variables: Vec<(String, String)>,
}

impl Settings {
    /// Reads all sources: flags over environment over file over defaults.
    ///
    /// # Errors
    /// Every YAML error, unknown key and repeated key, each with its place.
    pub fn read(inputs: &Inputs) -> Result<Settings, ConfigErrors> {
        let mut settings = Settings::default();
        let mut errors = ConfigErrors::default();
        settings.read_defaults();
        if let Some((path, text)) = &inputs.file {
            let path: Arc<str> = path.to_string_lossy().into();
            match parse(text, &path) {
                Ok(node) => settings.read_map(&node, "", &mut errors),
                Err(error) => errors.push(error),
            }
        }
        settings.read_environment(&inputs.environment, &mut errors);
        settings.read_flags(&inputs.flags, &mut errors);
        errors.or(settings)
    }

    /// The value of a key; `None` where there is none.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.values.get(name).filter(|node| !matches!(node.content, Content::Null))
    }

    fn read_defaults(&mut self) {
        for key in KEYS {
            if let DefaultValue::Text(text) = key.default {
                let content = Content::Scalar(text.to_owned());
                self.values.insert(key.name, Node { content, origin: Origin::Default });
            }
        }
    }

    fn read_map(&mut self, node: &Node, section: &str, errors: &mut ConfigErrors) {
        let entries = match &node.content {
            Content::Map(entries) => entries,
            Content::Null => return,
            _ if section.is_empty() => {
                return errors.push(ConfigError::new(&node.origin, "expected a map of keys"));
            }
            _ => {
                return errors
                    .push(ConfigError::new(&node.origin, format!("{section}: expected a map of keys")));
            }
        };
        for (name, place, value) in entries {
            let full = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            if let Some(key) = Key::find(&full) {
                // `key:` with nothing behind it leaves the default, as if the line were not there.
                if !matches!(value.content, Content::Null) {
                    self.values.insert(key.name, value.clone());
                }
            } else if is_section(&full) {
                self.read_map(value, &full, errors);
            } else {
                errors.push(ConfigError::unknown(place, &full, nearest(&full)));
            }
        }
    }

    fn read_environment(&mut self, environment: &[(String, String)], errors: &mut ConfigErrors) {
        let known: Vec<(String, &'static Key)> =
            KEYS.iter().filter_map(|key| Some((key.variable()?, key))).collect();
        for (variable, text) in environment.iter().filter(|(name, _)| name.starts_with("RIPEN_")) {
            let origin = Origin::Environment(variable.clone());
            if let Some((_, key)) = known.iter().find(|(name, _)| name == variable) {
                self.insert_text(key, text, origin, errors);
            } else if variable != super::FILE_VARIABLE {
                // Not an error: an orchestrator may set RIPEN_PORT and the like for a thing named `ripen`.
                let names = known.iter().map(|(name, _)| (name.as_str(), name.as_str()));
                if let Some(meant) = closest(variable, names, 0.85) {
                    self.doubtful_variables.push((variable.clone(), meant.to_owned()));
                }
            }
        }
    }

    fn read_flags(&mut self, flags: &[(String, String, String)], errors: &mut ConfigErrors) {
        for (flag, name, text) in flags {
            let origin = Origin::Flag(flag.clone());
            match Key::find(name).filter(|key| key.variable().is_some()) {
                Some(key) if key.is_secret() => {
                    let variable = key.variable().unwrap_or_default();
                    let message =
                        format!("{name}: other users see flags; set {variable} or {name}_file instead");
                    errors.push(ConfigError::new(&origin, message));
                }
                Some(key) => self.insert_text(key, text, origin, errors),
                None => errors.push(ConfigError::unknown(&origin, name, nearest(name))),
            }
        }
    }

    /// A value from a flag or variable: lists and maps are written as in YAML.
    fn insert_text(&mut self, key: &'static Key, text: &str, origin: Origin, errors: &mut ConfigErrors) {
        let content = match key.kind {
            Kind::List | Kind::Map => match parse(text, "") {
                Ok(mut node) => {
                    node.move_to(&origin);
                    node.content
                }
                Err(error) => {
                    let message = format!("{}: not YAML: {}", key.name, error.message);
                    return errors.push(ConfigError::new(&origin, message));
                }
            },
            _ => Content::Scalar(text.to_owned()),
        };
        self.values.insert(key.name, Node { content, origin });
    }
}

impl Node {
    fn move_to(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        match &mut self.content {
            Content::List(items) => items.iter_mut().for_each(|item| item.move_to(origin)),
            Content::Map(entries) => entries.iter_mut().for_each(|(_, place, value)| {
                *place = origin.clone();
                value.move_to(origin);
            }),
            Content::Null | Content::Scalar(_) | Content::Fraction => {}
        }
    }
}

fn parse(text: &str, path: &str) -> Result<Node, ConfigError> {
    let path: Arc<str> = path.into();
    if text.trim().is_empty() {
        let origin = Origin::File { path, line: 1, column: 1 };
        return Ok(Node { content: Content::Null, origin });
    }
    match serde_saphyr::from_str::<Option<Spanned<Yaml>>>(text) {
        Ok(Some(yaml)) => Ok(node(yaml, &path)),
        Ok(None) => Ok(Node { content: Content::Null, origin: Origin::File { path, line: 1, column: 1 } }),
        Err(error) => {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let message = error.without_snippet().to_string();
            Err(ConfigError::new(&Origin::File { path, line, column }, first_line(&message)))
        }
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

fn node(yaml: Spanned<Yaml>, path: &Arc<str>) -> Node {
    let origin = |at: serde_saphyr::Location| Origin::File {
        path: Arc::clone(path),
        line: at.line(),
        column: at.column(),
    };
    let content = match yaml.value {
        Yaml::Null => Content::Null,
        Yaml::Scalar(text) => Content::Scalar(text),
        Yaml::Fraction => Content::Fraction,
        Yaml::List(items) => Content::List(items.into_iter().map(|item| node(item, path)).collect()),
        Yaml::Map(entries) => Content::Map(
            entries
                .into_iter()
                .map(|(name, value)| (name.value, origin(name.referenced), node(value, path)))
                .collect(),
        ),
    };
    Node { content, origin: origin(yaml.referenced) }
}

/// What serde sees of a YAML value.
enum Yaml {
    Null,
    Scalar(String),
    Fraction,
    List(Vec<Spanned<Yaml>>),
    Map(Vec<(Spanned<String>, Spanned<Yaml>)>),
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Yaml, E> {
        Ok(Yaml::Fraction)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Yaml::Map(map))
    }
}
