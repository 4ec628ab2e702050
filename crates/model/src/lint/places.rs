//! Where things stand: the file is parsed once more and looked up by section and id.

use crate::findings::Findings;
use crate::yaml::{self, Node};

/// The file's tree; without one (the text is not that of the model) everything stands at its beginning.
pub(super) struct Places {
    root: Option<Node>,
}

impl Places {
    pub(super) fn new(text: &str) -> Places {
        Places { root: yaml::parse(&mut Findings::new(text)) }
    }

    /// The key of a section.
    pub(super) fn section(&self, name: &str) -> usize {
        let key = self.entries().iter().find(|(key, _)| key.raw() == Some(name));
        key.map_or(0, |(key, _)| key.at())
    }

    /// The value of `key` in the entry `id` of a section, else the entry, else the section.
    pub(super) fn part(&self, section: &str, id: &str, key: &str) -> usize {
        let Some((at, entry)) = self.entry(section, id) else { return self.section(section) };
        entry.get(key).map_or(at, Node::at)
    }

    /// The first place that names an event.
    pub(super) fn event(&self, event: &str) -> usize {
        let named = |node: &Node| node.one_or_many().iter().find(|n| n.raw() == Some(event)).map(Node::at);
        for section in ["rules", "disqualify", "alerts"] {
            let items = self.root.as_ref().and_then(|root| root.get(section)).map_or(&[][..], Node::items);
            if let Some(at) = items.iter().find_map(|item| named(item.get("event")?)) {
                return at;
            }
        }
        if let Some((at, _)) = self.entry("feedback", event) {
            return at;
        }
        let answers = || named(self.root.as_ref()?.get("frameworks")?.get("answers")?.get("event")?);
        answers().unwrap_or_else(|| self.section("rules"))
    }

    /// An entry of a list by its `id`, of a map by its key: where it begins, and its value.
    fn entry(&self, section: &str, id: &str) -> Option<(usize, &Node)> {
        let section = self.root.as_ref()?.get(section)?;
        if section.is_list() {
            let has_id = |item: &&Node| item.get("id").and_then(Node::raw) == Some(id);
            return section.items().iter().find(has_id).map(|item| (item.at(), item));
        }
        let entry = section.entries().iter().find(|(key, _)| key.raw() == Some(id));
        entry.map(|(key, value)| (key.at(), value))
    }

    fn entries(&self) -> &[(Node, Node)] {
        self.root.as_ref().map_or(&[][..], Node::entries)
    }
}
