//! A password file as text: which users it holds, on which lines, and the same text with one line
//! changed. Lines are split as Python's `csv` splits them at spaces, quotes included; comments, order
//! and line ends stay as they are. Files are opened elsewhere.

use super::{PasswordHash, UserName};

/// One user's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) name: UserName,
    /// `None` when what stands there is the hash of no password: the user exists and cannot sign in.
    pub(super) hash: Option<PasswordHash>,
}

/// The users of a file, in its order.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // Nothing of the line itself goes into an error: it may hold a password by mistake.
        let fields = fields(line).ok_or_else(|| format!("line {number}: a quote is not closed"))?;
        let [name, hash] = fields.as_slice() else {
            return Err(format!(
                "line {number}: it has {} fields where there must be two, a user name and a hash with one space \
                 between them",
                fields.len()
            ));
        };
        if name.starts_with('#') {
            continue;
        }
        if name.is_empty() {
            return Err(format!("line {number}: there is no user name before the space"));
        }
        let name = UserName::as_found(name);
        if let Some(first) = entries.iter().find(|entry| entry.name == name) {
            return Err(format!(
                "line {number}: the user {name} is there twice, first on line {}",
                first.line
            ));
        }
        if hash.is_empty() {
            return Err(format!("line {number}: the user {name} has no password hash"));
        }
        entries.push(Entry { line: number, name, hash: PasswordHash::from_hex(hash) });
    }
    Ok(entries)
}

/// The text with a user more at its end.
pub(super) fn with_user(text: &str, name: &UserName, hash: &PasswordHash) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { line_end(text) };
    format!("{text}{end}{}{}", line_of(name, hash), line_end(text))
}

/// The text with one line put in another's place, or taken out.
pub(super) fn with_line(text: &str, entry: &Entry, hash: Option<&PasswordHash>) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 != entry.line {
            out.push_str(line);
        } else if let Some(hash) = hash {
            let content = line.trim_end_matches(['\n', '\r']);
            out.push_str(&line_of(&entry.name, hash));
            out.push_str(&line[content.len()..]);
        }
    }
    out
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn line_of(name: &UserName, hash: &PasswordHash) -> String {
    let name = name.as_str();
    if name.contains([' ', '"']) {
        format!("\"{}\" {}", name.replace('"', "\"\""), hash.to_hex())
    } else {
        format!("{name} {}", hash.to_hex())
    }
}

/// The fields of one line, or `None` when a quoted one does not end.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut fresh = true;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut()?;
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if fresh => quoted = true,
            ' ' if !quoted => {
                fields.push(String::new());
                fresh = true;
                continue;
            }
            letter => field.push(letter),
        }
        fresh = false;
    }
    if quoted { None } else { Some(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::of(&UserName::as_found("x"), password.as_bytes())
    }

    fn names(text: &str) -> Vec<(usize, String)> {
        entries(text).unwrap().iter().map(|entry| (entry.line, entry.name.to_string())).collect()
    }

    #[test]
    fn lines_are_split_as_python_s_csv_splits_them() {
        for (line, expected) in [
            ("a b", vec!["a", "b"]),
            ("a  b", vec!["a", "", "b"]),
            ("a b ", vec!["a", "b", ""]),
            ("\"a b\" c", vec!["a b", "c"]),
            ("\"a\"\"b\" c", vec!["a\"b", "c"]),
            ("\"a\"b c", vec!["ab", "c"]),
            ("a\"b\" c", vec!["a\"b\"", "c"]),
            ("a \"\"", vec!["a", ""]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
        assert_eq!(fields("\"a b"), None);
    }

    /// Every line of up to seven of these letters, split here and by Python.
    #[test]
    fn python_splits_the_same() {
        let mut lines = vec![String::new()];
        for _ in 0..7 {
            let longer: Vec<_> = lines
                .iter()
                .flat_map(|line| ["a", " ", "\""].map(|letter| format!("{line}{letter}")))
                .collect();
            lines.extend(longer);
            lines.sort();
            lines.dedup();
        }
        // An open quote is no error in Python, and an empty line has no fields; both are dealt with before.
        lines.retain(|line| !line.is_empty() && fields(line).is_some());
        let script = "
import csv, json, sys
json.dump([next(csv.reader([line], delimiter=' ')) for line in json.load(sys.stdin)], sys.stdout)";
        let theirs: Vec<Vec<String>> = crate::tests::python(script, &lines);
        assert!(lines.len() > 1000 && theirs.len() == lines.len());
        for (line, theirs) in lines.iter().zip(theirs) {
            assert_eq!(fields(line).unwrap(), theirs, "{line}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        let text = "\u{feff}# two users\n\nAnn aa\r\n   \n#bob bb\n\"#also\" cc\n\"Carl B\" dd\n";
        assert_eq!(names(text), [(3, "ann".to_owned()), (7, "carl b".to_owned())]);
        assert!(entries(text).unwrap().iter().all(|entry| entry.hash.is_none()));
        assert!(entries("").unwrap().is_empty());
    }

    #[test]
    fn an_error_names_its_line_and_shows_nothing_of_it() {
        for (text, words) in [
            ("ann aa\nbob\n", "line 2: it has 1 fields"),
            ("ann s3cret x\n", "line 1: it has 3 fields"),
            (" s3cret\n", "line 1: there is no user name"),
            ("ann aa\n#\nANN bb\n", "line 3: the user ann is there twice, first on line 1"),
            ("ann \"\"\n", "line 1: the user ann has no password hash"),
            ("ann \"s3cret\n", "line 1: a quote is not closed"),
        ] {
            let error = entries(text).unwrap_err();
            assert!(error.starts_with(words) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn one_line_changes_and_the_rest_stays() {
        let text = "# staff\r\nann aa\r\n\r\n# the last\r\n\"B c\" bb";
        let (hash, users) = (hash("p"), entries(text).unwrap());
        let hex = hash.to_hex();
        assert_eq!(with_line(text, &users[0], Some(&hash)), text.replace("ann aa", &format!("ann {hex}")));
        assert_eq!(with_line(text, &users[0], None), text.replace("ann aa\r\n", ""));
        assert_eq!(
            with_line(text, &users[1], Some(&hash)),
            text.replace("\"B c\" bb", &format!("\"b c\" {hex}"))
        );
        let more = with_user(text, &UserName::as_found("d"), &hash);
        assert_eq!(more, format!("{text}\r\nd {hex}\r\n"));
        assert_eq!(with_user("", &UserName::as_found("d"), &hash), format!("d {hex}\n"));
        assert_eq!(entries(&more).unwrap()[2].hash.as_ref(), Some(&hash));
    }
}
