//! A model file as it stands on disk, with the lists that stand beside it.

use std::path::{Component, Path};
use std::sync::Arc;

use ripen_model::{Model, ModelErrors};

use crate::failure::Failure;

/// A model and the text that it was compiled from.
#[derive(Debug, Clone)]
pub struct ModelFile {
    /// The file's name, as it was given.
    pub name: String,
    /// Its text, lists in files of their own put into it: this is what is hashed and travels through the log.
    pub text: String,
    /// The compiled model.
    pub model: Arc<Model>,
}

/// Why a model file cannot be used.
#[derive(Debug)]
pub enum ModelFileError {
    /// It cannot be read.
    Unreadable(Failure),
    /// It has errors.
    Errors(ModelErrors),
}

impl From<ModelFileError> for Failure {
    fn from(error: ModelFileError) -> Failure {
        match error {
            ModelFileError::Unreadable(failure) => failure,
            ModelFileError::Errors(errors) => Failure::model(&errors),
        }
    }
}

impl ModelFile {
    /// Reads and compiles a model file.
    ///
    /// # Errors
    /// See [`ModelFileError`]; every error of the file at once.
    pub fn load(path: &Path) -> Result<ModelFile, ModelFileError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ModelFileError::Unreadable(Failure::read(path, &error)))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let text = ripen_model::bundle(&name, &text, &mut |list| list_text(directory, list))
            .map_err(ModelFileError::Errors)?;
        ModelFile::compile(name, text)
    }

    /// Compiles a text that is whole.
    ///
    /// # Errors
    /// Every error of the text.
    pub fn compile(name: String, text: String) -> Result<ModelFile, ModelFileError> {
        let model = ripen_model::compile(&name, &text).map_err(ModelFileError::Errors)?;
        Ok(ModelFile { name, text, model: Arc::new(model) })
    }
}

/// The text of a list beside the model. A model that somebody sent must not read what lies elsewhere.
fn list_text(directory: &Path, name: &str) -> Result<String, String> {
    let path = Path::new(name);
    let is_beside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !is_beside {
        return Err("a list stands beside its model or in a directory below".to_owned());
    }
    std::fs::read_to_string(directory.join(path)).map_err(|error| error.to_string().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stand_beside_their_model() {
        let directory = Path::new("/nowhere");
        for name in ["/etc/hostname", "../x.txt", "a/../../x.txt"] {
            assert!(list_text(directory, name).unwrap_err().contains("beside its model"), "{name}");
        }
        assert!(list_text(directory, "lists/x.txt").unwrap_err().contains("no such file"));
    }
}
