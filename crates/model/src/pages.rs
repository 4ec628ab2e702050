//! Page kinds from URL paths.
//!
//! Paths arrive cut, decoded and collapsed (ingest does that once); here they are only matched.

use crate::compiled::{PageKindIx, PageParameterIx};

/// Matches paths to page kinds; the most specific pattern wins.
#[derive(Debug, Default)]
pub struct PageMatcher {
    router: matchit::Router<Pattern>,
    fold_case: bool,
}

#[derive(Debug, Clone)]
struct Pattern {
    kind: PageKindIx,
    parameters: Vec<PageParameterIx>,
}

/// What a path matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMatch {
    /// The page's kind.
    pub kind: PageKindIx,
    /// Its parameters, in the pattern's order.
    pub parameters: Vec<(PageParameterIx, String)>,
}

impl PageMatcher {
    pub(crate) fn new(fold_case: bool) -> Self {
        PageMatcher { router: matchit::Router::new(), fold_case }
    }

    /// The kind and parameters of a path that ingest has normalised (`/models/a`); `None`: no kind.
    pub fn matches(&self, path: &str) -> Option<PageMatch> {
        if self.fold_case { self.matches_exactly(&path.to_lowercase()) } else { self.matches_exactly(path) }
    }

    fn matches_exactly(&self, path: &str) -> Option<PageMatch> {
        let found = self.router.at(path).ok()?;
        let Pattern { kind, parameters } = found.value;
        let values = found.params.iter().map(|(_, value)| value.to_owned());
        Some(PageMatch { kind: *kind, parameters: parameters.iter().copied().zip(values).collect() })
    }

    /// Adds a pattern whose parameters are, in order, `parameters`.
    pub(crate) fn insert(
        &mut self,
        pattern: &str,
        kind: PageKindIx,
        parameters: Vec<PageParameterIx>,
    ) -> Result<(), matchit::InsertError> {
        // The names of parameters are folded with the rest: values are told by their order.
        let pattern = if self.fold_case { pattern.to_lowercase() } else { pattern.to_owned() };
        self.router.insert(pattern, Pattern { kind, parameters })
    }
}

/// The names of a pattern's parameters, in order; `{{` and `}}` are literal braces.
pub(crate) fn parameter_names(pattern: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            rest = after;
            continue;
        }
        let Some(close) = rest.find('}') else { break };
        names.push(rest[..close].trim_start_matches('*'));
        rest = &rest[close..];
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(fold_case: bool, patterns: &[&str]) -> PageMatcher {
        let mut matcher = PageMatcher::new(fold_case);
        for (ix, pattern) in patterns.iter().enumerate() {
            let parameters = (0..parameter_names(pattern).len()).map(|ix| PageParameterIx(ix as u16));
            matcher.insert(pattern, PageKindIx(ix as u16), parameters.collect()).unwrap();
        }
        matcher
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let patterns = [
            "/models/{model_id}",
            "/models/new",
            "/models/{m}/trims/{t}",
            "/blog/{*article}",
            "/",
            "/{a}.pdf",
        ];
        let matcher = matcher(false, &patterns);
        for (path, expect) in [
            ("/models/a", Some((0, vec!["a"]))),
            ("/models/new", Some((1, vec![]))),
            ("/models/a/trims/sport", Some((2, vec!["a", "sport"]))),
            ("/blog/2026/winter", Some((3, vec!["2026/winter"]))),
            ("/", Some((4, vec![]))),
            ("/price.pdf", Some((5, vec!["price"]))),
            ("/blog", None),
            ("/Models/a", None),
            ("", None),
            ("/models/тест", Some((0, vec!["тест"]))),
        ] {
            let found = matcher.matches(path);
            let found = found.map(|PageMatch { kind, parameters }| {
                (kind.0, parameters.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
            });
            let expect = expect.map(|(kind, values)| (kind, values.into_iter().map(str::to_owned).collect()));
            assert_eq!(found, expect, "{path}");
        }
    }

    #[test]
    fn case_folds_if_told() {
        let matcher = matcher(true, &["/Models/{Model}", "/ΟΔΟΣ"]);
        let found = matcher.matches("/MODELS/Ab").unwrap();
        assert_eq!(found.parameters, [(PageParameterIx(0), "ab".to_owned())]);
        // A sigma that ends a word has a lower case of its own.
        assert_eq!(matcher.matches("/ΟΔΟΣ").map(|found| found.kind), Some(PageKindIx(1)));
    }

    #[test]
    fn parameters_are_named_in_order() {
        assert_eq!(parameter_names("/a/{b}/{{c}}/{*d}"), ["b", "d"]);
        assert_eq!(parameter_names("/a/{b"), Vec::<&str>::new());
    }
}
