//! The models that came through the log, compiled, by their hash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ripen_model::{Model, ModelErrors};
use tracing::error;

/// Models of this process by BLAKE3 of their files: however many workers read one, it is compiled and kept once.
static COMPILED: Mutex<BTreeMap<[u8; 32], Weak<Model>>> = Mutex::new(BTreeMap::new());

/// Every model of `ripen.models.v1`. A service knows models from that topic only, never from a file.
#[derive(Debug, Default)]
pub struct Models {
    by_hash: BTreeMap<String, Arc<Model>>,
    newest: Option<Arc<Model>>,
}

impl Models {
    /// Takes in a record of the models topic: key = hash, value = the file; a tombstone drops the model.
    /// A file that this version cannot compile is reported and left out: a switch to it then blocks by name.
    pub fn record(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Ok(hash) = std::str::from_utf8(key) else { return };
        let Some(file) = value else {
            self.by_hash.remove(hash);
            return;
        };
        let text = String::from_utf8_lossy(file);
        match compile(hash, &text) {
            Ok(model) => {
                self.by_hash.insert(hash.to_owned(), Arc::clone(&model));
                self.newest = Some(model);
            }
            Err(errors) => error!(model = hash, "model in the log does not compile: {errors}"),
        }
    }

    /// The model with this hash.
    pub fn get(&self, hash: &str) -> Option<&Arc<Model>> {
        self.by_hash.get(hash)
    }

    /// The model that arrived last.
    pub fn newest(&self) -> Option<&Arc<Model>> {
        self.newest.as_ref()
    }

    /// All of them, by hash.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.by_hash.values()
    }
}

fn compile(hash: &str, text: &str) -> Result<Arc<Model>, ModelErrors> {
    let file = *blake3::hash(text.as_bytes()).as_bytes();
    // Nothing panics while it holds the lock.
    let known = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(model) = known().get(&file).and_then(Weak::upgrade) {
        return Ok(model);
    }
    let model = Arc::new(ripen_model::compile(hash, text)?);
    let mut known = known();
    known.retain(|_, model| model.strong_count() > 0);
    known.insert(file, Arc::downgrade(&model));
    Ok(model)
}
