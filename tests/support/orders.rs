//! The made-up orders of `tests/data/orders.csv`, by column, as Tableau would send them. The
//! arithmetic of the tests is done on these columns in Rust, apart from any Python.

use serde_json::{Value, json};

pub struct Orders {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Orders {
    pub fn read() -> Self {
        let text = include_str!("../data/orders.csv");
        let mut rows: Vec<Vec<String>> = text.lines().map(fields).collect();
        let names = rows.remove(0);
        Self { names, rows }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The orders whose column has this value: one partition of a view.
    pub fn only(&self, column: &str, value: &str) -> Self {
        let at = self.at(column);
        let rows = self.rows.iter().filter(|row| row[at] == value).cloned().collect();
        Self { names: self.names.clone(), rows }
    }

    pub fn text(&self, column: &str) -> Vec<&str> {
        let at = self.at(column);
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }

    pub fn numbers(&self, column: &str) -> Vec<f64> {
        self.text(column).iter().map(|field| field.parse().unwrap()).collect()
    }

    /// Text for Tableau, an empty field as null.
    pub fn strings(&self, column: &str) -> Value {
        self.text(column)
            .iter()
            .map(|field| if field.is_empty() { Value::Null } else { json!(field) })
            .collect()
    }

    /// Numbers for Tableau, an empty field as null.
    pub fn values(&self, column: &str) -> Value {
        let value = |field: &&str| field.parse::<f64>().map_or(Value::Null, |number| json!(number));
        self.text(column).iter().map(value).collect()
    }

    fn at(&self, column: &str) -> usize {
        self.names.iter().position(|name| name == column).unwrap_or_else(|| panic!("no column {column}"))
    }
}

/// A line of CSV; the file has no line end within a field.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().unwrap();
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}
