//! Page kinds from URL paths.

use crate::compiled::{PageKindIx, PageParameterIx};

/// Matches paths to page kinds; the most specific pattern wins.
#[derive(Debug)]
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
