//! Lists in files of their own: put into the model's text before anything else sees it, so that one text is the whole
//! model, is hashed, travels through the log and is compiled everywhere alike.

use super::sections::LIST_NOT_LOADED;
use crate::findings::{Findings, ModelErrors};
use crate::yaml;

/// Longest file of a list, bytes.
const LARGEST_LIST: usize = 1 << 20;

/// Puts the values of lists that are in files (`lists: {rivals: rivals.txt}`) into the model's text.
///
/// `load` gives a file's text by the name that the model states, or says why it cannot. A file holds one value a line,
/// a text; blank lines and lines that begin with `#` are skipped. The rest of the text, its lines included, stays as it
/// is. A text that is not YAML is given back unchanged: [`crate::compile`] says what is wrong with it.
///
/// # Errors
/// Every list that cannot be loaded, together with every other finding of the file.
pub fn bundle(
    file_name: &str,
    text: &str,
    load: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<String, ModelErrors> {
    let Some(root) = yaml::parse(&mut Findings::new(text)) else { return Ok(text.to_owned()) };
    let mut findings = Findings::new(text);
    let mut bundled = String::with_capacity(text.len());
    let mut copied = 0;
    for (_, node) in root.get("lists").map_or(&[][..], yaml::Node::entries) {
        let Some(name) = node.text() else { continue };
        match load(name).and_then(|values| flow_list(&values)) {
            Ok(list) => {
                bundled.push_str(&text[copied..node.span.start]);
                bundled.push_str(&list);
                copied = node.span.end;
            }
            Err(why) => findings.add(node.at(), format!("the list `{name}` cannot be loaded: {why}")),
        }
    }
    if findings.is_empty() {
        bundled.push_str(&text[copied..]);
        return Ok(bundled);
    }
    let mut errors = findings.into_errors(file_name);
    if let Err(others) = super::compile(file_name, text) {
        let others = others.findings.into_iter().filter(|finding| finding.message != LIST_NOT_LOADED);
        errors.findings.extend(others);
        errors.findings.sort_by_key(|finding| (finding.line, finding.column));
    }
    Err(errors)
}

/// The values as a list on one line.
fn flow_list(values: &str) -> Result<String, String> {
    if values.len() > LARGEST_LIST {
        return Err(format!("it has more than {LARGEST_LIST} bytes"));
    }
    let mut list = String::from("[");
    for (ix, line) in values.trim_start_matches('\u{feff}').lines().enumerate() {
        let value = line.trim();
        if value.is_empty() || value.starts_with('#') {
            continue;
        }
        if value.chars().any(char::is_control) {
            return Err(format!("line {} holds a control character", ix + 1));
        }
        if list.len() > 1 {
            list.push_str(", ");
        }
        list.push('\'');
        list.push_str(&value.replace('\'', "''"));
        list.push('\'');
    }
    list.push(']');
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile;
    use crate::expression::{EventAtom, Expression, FieldValue, Test};

    const MODEL: &str = "\
apiVersion: ripen/v1
model: {id: m, version: 1}
lists:
  rivals: rivals.txt   # kept by sales
  partners: [p]
  'none': \"none.txt\"
rules: [{id: r, event: e, where: properties.x in lists.rivals}]
stages: [{id: a, owner: b}]
";

    fn load(name: &str) -> Result<String, String> {
        match name {
            "rivals.txt" => {
                Ok("\u{feff}# the other side\r\nit's.example\r\n\r\n  1 \r\n[a, b]: c".to_owned())
            }
            "none.txt" => Ok(String::new()),
            _ => Err("no such file".to_owned()),
        }
    }

    #[test]
    fn lists_stand_where_their_files_were_named() {
        let bundled = bundle("m.yaml", MODEL, &mut load).unwrap();
        let lists: Vec<&str> = bundled.lines().skip(3).take(3).collect();
        assert_eq!(
            lists,
            [
                "  rivals: ['it''s.example', '1', '[a, b]: c']   # kept by sales",
                "  partners: [p]",
                "  'none': []"
            ]
        );
        let model = compile("m.yaml", &bundled).unwrap();
        let Some(Expression::Atom(EventAtom::Field(_, Test::In(set)))) = &model.rules[0].condition else {
            panic!("a list")
        };
        for (value, expect) in [("it's.example", true), ("1", true), ("[a, b]: c", true), ("it", false)] {
            assert_eq!(set.holds(FieldValue::Text(value)), expect, "{value}");
        }
        // What is bundled stays as it is.
        assert_eq!(bundle("m.yaml", &bundled, &mut |_| Err("nothing to load".to_owned())), Ok(bundled));
    }

    #[test]
    fn lists_that_cannot_be_loaded_are_found_with_all_else() {
        let text = MODEL.replace("rivals.txt", "rivlas.txt").replace("id: a,", "id: a, onwer: x,");
        let errors = bundle("m.yaml", &text, &mut load).unwrap_err();
        let messages: Vec<(usize, &str)> =
            errors.findings.iter().map(|finding| (finding.line, finding.message.as_str())).collect();
        assert_eq!(
            messages,
            [
                (4, "the list `rivlas.txt` cannot be loaded: no such file"),
                (8, "unknown key `onwer` in a stage")
            ]
        );
        let errors = compile("m.yaml", MODEL).unwrap_err();
        assert_eq!(errors.findings[0].message, LIST_NOT_LOADED);
        let too_long = "x".repeat(LARGEST_LIST + 1);
        for (values, why) in [("a\u{7}b", "line 1 holds a control character"), (&too_long, "it has more")] {
            let errors = bundle("m.yaml", MODEL, &mut |_| Ok(values.to_owned())).unwrap_err();
            assert!(errors.findings[0].message.contains(why), "{errors}");
        }
        assert!(bundle("m.yaml", MODEL, &mut |_| Ok(too_long[1..].to_owned())).is_ok());
    }

    #[test]
    fn what_is_not_yaml_is_left_to_the_compiler() {
        assert_eq!(bundle("m.yaml", "a: [", &mut load), Ok("a: [".to_owned()));
    }
}
