//! What is sent, and the answer that must come back, byte for byte. The bodies look as Tableau's
//! do. The large ones return an argument unchanged, so that the servers are measured and not the
//! loop of a script, which costs the same in both.

use std::fmt::Write;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) authenticated: bool,
    pub(crate) content: Content,
    /// Functions that are deployed before.
    pub(crate) functions: usize,
    /// How many times as many requests a second as TabPy this server should answer.
    pub(crate) target: Option<f64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Content {
    /// One number in, one out: most calls of a Tableau view are like this.
    Tiny,
    /// The same by a deployed function: called by its route, and by a script.
    Query,
    QueryInScript,
    /// Two columns of so many rows in, the first one out.
    Rows(Kind, usize),
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Floats,
    Ints,
    Strings,
}

use Content::{Query, QueryInScript, Rows, Tiny};
use Kind::{Floats, Ints, Strings};

#[rustfmt::skip]
pub(crate) const CASES: [Case; 20] = [
    case("tiny, 1 connection", 1, false, Tiny, None),
    case("tiny, 8 connections", 8, false, Tiny, None),
    case("tiny, 32 connections", 32, false, Tiny, Some(25.0)),
    case("tiny with authentication, 1 connection", 1, true, Tiny, None),
    case("tiny with authentication, 8 connections", 8, true, Tiny, None),
    case("tiny with authentication, 32 connections", 32, true, Tiny, Some(200.0)),
    Case { functions: 1, ..case("query of a function, 1 connection", 1, false, Query, None) },
    Case { functions: 1, ..case("query of a function, 8 connections", 8, false, Query, None) },
    Case { functions: 1, ..case("tabpy.query in a script, 1 connection", 1, false, QueryInScript, None) },
    Case { functions: 100, ..case("tiny beside 100 functions, 1 connection", 1, false, Tiny, None) },
    case("10 k floats, 1 connection", 1, false, Rows(Floats, 10_000), None),
    case("10 k floats, 8 connections", 8, false, Rows(Floats, 10_000), None),
    case("10 k ints, 1 connection", 1, false, Rows(Ints, 10_000), None),
    case("10 k strings, 1 connection", 1, false, Rows(Strings, 10_000), None),
    case("100 k floats, 1 connection", 1, false, Rows(Floats, 100_000), None),
    case("100 k ints, 1 connection", 1, false, Rows(Ints, 100_000), None),
    case("100 k strings, 1 connection", 1, false, Rows(Strings, 100_000), None),
    case("1 M floats, 1 connection", 1, false, Rows(Floats, 1_000_000), Some(4.0)),
    case("1 M ints, 1 connection", 1, false, Rows(Ints, 1_000_000), None),
    case("1 M strings, 1 connection", 1, false, Rows(Strings, 1_000_000), None),
];

const fn case(
    name: &'static str,
    connections: usize,
    authenticated: bool,
    content: Content,
    target: Option<f64>,
) -> Case {
    Case { name, connections, authenticated, content, functions: 0, target }
}

/// The function that is called is the first one; the others are there.
pub(crate) fn function(number: usize) -> String {
    format!("def add_one_{number}(x):\n    return x[0] + 1\n")
}

impl Content {
    pub(crate) fn path(self) -> &'static str {
        if matches!(self, Query) { "/query/add_one_0" } else { "/evaluate" }
    }

    pub(crate) fn body(self) -> String {
        match self {
            Tiny => r#"{"script":"return _arg1[0] + 1","data":{"_arg1":[41.5]}}"#.to_owned(),
            Query => r#"{"data":[[41.5]]}"#.to_owned(),
            QueryInScript => {
                r#"{"script":"return tabpy.query('add_one_0', _arg1)['response']","data":{"_arg1":[41.5]}}"#
                    .to_owned()
            }
            Rows(kind, rows) => {
                let mut body = r#"{"script":"return _arg1","data":{"_arg1":["#.to_owned();
                kind.write_column(&mut body, rows, 1, ",");
                body.push_str(r#"],"_arg2":["#);
                kind.write_column(&mut body, rows, 2, ",");
                body.push_str("]}}");
                body
            }
        }
    }

    /// What must come; any byte may stand where this has a zero.
    pub(crate) fn answer(self) -> String {
        match self {
            Tiny | QueryInScript => "42.5".to_owned(),
            Query => {
                let uuid = "\0".repeat(36);
                format!(r#"{{"response": 42.5, "version": 1, "model": "add_one_0", "uuid": "{uuid}"}}"#)
            }
            Rows(kind, rows) => {
                let mut answer = "[".to_owned();
                kind.write_column(&mut answer, rows, 1, ", ");
                answer.push(']');
                answer
            }
        }
    }
}

impl Kind {
    fn write_column(self, out: &mut String, rows: usize, seed: u64, separator: &str) {
        let mut random = Random(seed);
        for row in 0..rows {
            if row > 0 {
                out.push_str(separator);
            }
            let number = random.next();
            // Writing to a String cannot fail.
            let _ = match self {
                // 0.0001 to 10,000 with all digits; in this range Rust and Python write the same text.
                Floats => {
                    write!(out, "{:?}", 1e-4 + (number % (1 << 53)) as f64 / (1_u64 << 53) as f64 * 9999.0)
                }
                Ints => write!(out, "{}", number % 1_000_000),
                // As a dimension with as many members as rows, and one with few.
                Strings if seed == 1 => write!(out, "\"Customer {:08}\"", number % 100_000_000),
                Strings => write!(out, "\"Category {}\"", number % 40),
            };
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
