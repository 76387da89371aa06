//! Reads docs/differences-from-tabpy.md, whose rows the cases name: the first column is the id in
//! backquotes. Rows after the heading "What no answer shows" have no case.

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) struct Row {
    /// What TabPy does, what this server does, and why.
    pub(crate) cells: Vec<String>,
    pub(crate) seen_in_an_answer: bool,
}

pub(crate) fn listed() -> BTreeMap<String, Row> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences-from-tabpy.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mut rows = BTreeMap::new();
    let mut seen_in_an_answer = true;
    for line in text.lines() {
        if line.starts_with("## What no answer shows") {
            seen_in_an_answer = false;
        }
        let Some((id, rest)) = line.strip_prefix("| `").and_then(|line| line.split_once("` |")) else {
            continue;
        };
        let cells: Vec<String> = rest
            .trim_end_matches('|')
            .replace("\\|", "&")
            .split('|')
            .map(|cell| cell.trim().into())
            .collect();
        assert_eq!(cells.len(), 3, "the row `{id}` has three columns after its id");
        let before = rows.insert(id.to_owned(), Row { cells, seen_in_an_answer });
        assert!(before.is_none(), "two rows are called `{id}`");
    }
    rows
}
