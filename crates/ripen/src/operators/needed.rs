//! What ingest keeps of a record: the union of what the models read.

use std::sync::Arc;

use ripen_ingest::{Needed, NeededField, PageFields, Sensitive};
use ripen_model::Model;
use ripen_model::compiled::{HashedKind, PageReads};

/// The union over the models; `None` if there is none.
pub(super) fn of<'a>(models: impl Iterator<Item = &'a Arc<Model>>) -> Option<Needed> {
    models.map(|model| needed_by(model)).reduce(Needed::union)
}

/// What one model reads.
pub(crate) fn needed_by(model: &Model) -> Needed {
    let fields = model.fields();
    let needed = |names: &[String], hashed: &[Option<HashedKind>]| {
        let with_kind = names.iter().zip(hashed);
        with_kind
            .map(|(name, kind)| NeededField { name: name.clone(), sensitive: kind.map(sensitive) })
            .collect()
    };
    let PageReads { url, host, title, name } = fields.page;
    Needed {
        page: PageFields { url, host, title, name },
        properties: needed(fields.properties, fields.hashed_properties),
        traits: needed(fields.traits, fields.hashed_traits),
        max_future_ms: model.time.max_future_ms,
    }
}

fn sensitive(kind: HashedKind) -> Sensitive {
    match kind {
        HashedKind::Email => Sensitive::Email,
        HashedKind::Phone => Sensitive::Phone,
    }
}
