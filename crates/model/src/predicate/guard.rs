//! Bounds on an expression's text, checked before it is parsed: the parser and all that follows recurse over the
//! expression, so its depth has to be known first.

/// Longest expression, bytes.
const LENGTH: usize = 16_384;

/// Deepest nesting of brackets. The parser takes up to 180 KiB of stack for each (measured, not optimised), and a
/// thread may have no more than 2 MiB.
const DEPTH: usize = 8;

/// Operators, dots and brackets between two of `&&`, `||` and `,`; each may be one level of the tree.
const CHAIN: usize = 48;

/// All of them; `&&`, `||` and `,` are not counted, since they do not nest.
const OPERATORS: usize = 1_024;

/// Whether the text may be parsed; if not, the place and the reason.
pub(super) fn check(text: &str) -> Result<(), (usize, String)> {
    if text.len() > LENGTH {
        return Err((0, format!("an expression has at most {LENGTH} bytes; use a list or several rules")));
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut chain, mut operators) = (0, 0_usize, 0_usize, 0_usize);
    let too_complex = |at: usize| Err((at, "the expression is too long a chain".to_owned()));
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\'' | b'"' => {
                let raw = at > 0 && matches!(bytes[at - 1], b'r' | b'R');
                at = after_text(bytes, at, raw);
                continue;
            }
            b'{' | b'}' | b'?' | b'@' | b'`' | b'%' | b'/' | b'#' | b'$' | b';' | b'\\' => {
                let character = char::from(byte);
                return Err((at, format!("`{character}` is not part of the language")));
            }
            b'&' | b'|' if bytes.get(at + 1) == Some(&byte) => {
                chain = 0;
                at += 2;
                continue;
            }
            b',' => chain = 0,
            b'(' | b'[' => {
                depth += 1;
                chain += 1;
                operators += 1;
            }
            b')' | b']' => depth = depth.saturating_sub(1),
            b'.' | b'!' | b'<' | b'>' | b'=' | b'+' | b'-' | b'*' | b':' => {
                chain += 1;
                operators += 1;
            }
            // `in` is an operator, too.
            b'i' if bytes[at..].starts_with(b"in") => {
                chain += 1;
                operators += 1;
            }
            _ => {}
        }
        if depth > DEPTH {
            return Err((at, format!("brackets are nested deeper than {DEPTH}: set a fact and read it")));
        }
        if chain > CHAIN || operators > OPERATORS {
            return too_complex(at);
        }
        at += 1;
    }
    Ok(())
}

/// The place behind a text constant that opens at `at`.
fn after_text(bytes: &[u8], at: usize, raw: bool) -> usize {
    let quote = bytes[at];
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let width = if triple { 3 } else { 1 };
    let mut at = at + width;
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at] == quote && (!triple || bytes[at..].starts_with(&[quote; 3])) {
            return at + width;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded_before_parsing() {
        for (text, fits) in [
            ("a.b == 'c' && d.e in ['f', 'g']".to_owned(), true),
            ("properties.x.matches(r'a?b{2}\\d')".to_owned(), true),
            (format!("a.b in [{}]", vec!["'x.y-z'"; 500].join(", ")), true),
            (vec!["a.b == 1"; 200].join(" || "), true),
            ("(".repeat(30), false),
            ("a".to_owned() + &".a".repeat(100), false),
            ("!".repeat(100) + "a", false),
            (vec!["a"; 100].join(" + "), false),
            (vec!["a"; 100].join(" in "), false),
            (format!("a{}", ".f(b, c)".repeat(600)), false),
            ("a ? b : c".to_owned(), false),
            ("x".repeat(20_000), false),
        ] {
            assert_eq!(check(&text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn each_bound_is_kept_to_the_last() {
        for (unit, most) in
            [("x", LENGTH), ("(", DEPTH), ("!", CHAIN), ("()", CHAIN), (".a,", OPERATORS), ("in,", OPERATORS)]
        {
            assert_eq!(check(&unit.repeat(most)), Ok(()), "{most} of {unit}");
            assert!(check(&unit.repeat(most + 1)).is_err(), "{} of {unit}", most + 1);
        }
        assert_eq!(check(&"i,".repeat(OPERATORS + 1)), Ok(()), "no operators");
    }

    #[test]
    fn a_chain_ends_at_what_does_not_nest_and_at_nothing_else() {
        let half = "!".repeat(CHAIN / 2 + 1);
        for (between, fits) in
            [("&&", true), ("||", true), (",", true), ("|", false), ("&", false), (" ", false)]
        {
            assert_eq!(check(&format!("{half}{between}{half}")).is_ok(), fits, "{between}");
        }
        assert_eq!(check("|a"), Ok(()), "for the parser to refuse");
        assert!(check("what_is_before || ?").is_err());
    }

    #[test]
    fn what_a_text_holds_is_not_looked_at_and_what_follows_it_is() {
        for text in ["'a?'", "\"a?\"", r"'\'?'", r"'\\'", "'''a'?'''", r"r'\'", "'?", "'''?''"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in ["'a' ?", "\"a\" ?", r"'\'' ?", r"'\\' ?", "'''a''' ?", r"r'\' ?", r"x + R'\' ?", "'' ?"]
        {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
