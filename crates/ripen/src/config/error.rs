//! What is wrong with a configuration, and where.

use std::fmt;

use super::source::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// `file:line:column`, a variable, a flag.
    pub place: String,
    /// What is wrong, and what is expected. Never a secret's value.
    pub message: String,
}

impl ConfigError {
    /// An error at a place.
    pub fn new(origin: &Origin, message: impl Into<String>) -> ConfigError {
        let place = match origin {
            Origin::Default => "configuration".to_owned(),
            origin => origin.to_string(),
        };
        ConfigError { place, message: message.into() }
    }

    /// An unknown key.
    pub fn unknown(origin: &Origin, name: &str, nearest: Option<&str>) -> ConfigError {
        let message = match nearest {
            Some(nearest) => format!("unknown key {name}; did you mean {nearest}?"),
            None => format!("unknown key {name}; `ripen config reference` lists all"),
        };
        ConfigError::new(origin, message)
    }
}

/// Everything that is wrong, in the order of reading; shown one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Appends one.
    pub fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// `value` if nothing is wrong.
    ///
    /// # Errors
    /// The errors, if there are any.
    pub fn or<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
