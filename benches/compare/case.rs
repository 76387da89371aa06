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
    /// Which part of the echo's rate it should reach.
    pub(crate) echo_target: Option<f64>,
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
    /// One column in and out.
    Column(Kind, usize),
    /// An array of so many floats that the script makes, returned as it is; by `tolist` where that fails.
    Numpy(usize),
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Floats,
    Ints,
    /// As a dimension with as many members as rows.
    Distinct,
    /// With few members.
    Repeated,
    /// Not ASCII, written as escapes.
    Escaped,
}

use Content::{Column, Numpy, Query, QueryInScript, Rows, Tiny};
use Kind::{Distinct, Escaped, Floats, Ints, Repeated};

#[rustfmt::skip]
pub(crate) const CASES: [Case; 22] = [
    case("tiny, 1 connection", 1, false, Tiny, None, Some(0.50)),
    case("tiny, 8 connections", 8, false, Tiny, None, None),
    case("tiny, 32 connections", 32, false, Tiny, Some(60.0), Some(0.45)),
    case("tiny with authentication, 1 connection", 1, true, Tiny, None, None),
    case("tiny with authentication, 32 connections", 32, true, Tiny, Some(450.0), None),
    with(1, case("query of a function, 1 connection", 1, false, Query, None, None)),
    with(1, case("query of a function, 8 connections", 8, false, Query, None, None)),
    with(1, case("tabpy.query in a script, 1 connection", 1, false, QueryInScript, None, None)),
    with(100, case("tiny beside 100 functions, 1 connection", 1, false, Tiny, None, None)),
    case("10 k floats, 1 connection", 1, false, Rows(Floats, 10_000), None, None),
    case("10 k floats, 8 connections", 8, false, Rows(Floats, 10_000), Some(20.0), None),
    case("10 k ints, 1 connection", 1, false, Rows(Ints, 10_000), None, None),
    case("10 k strings, 1 connection", 1, false, Column(Distinct, 10_000), None, None),
    case("100 k floats, 1 connection", 1, false, Rows(Floats, 100_000), None, None),
    case("100 k ints, 1 connection", 1, false, Rows(Ints, 100_000), None, None),
    case("100 k strings, 1 connection", 1, false, Column(Distinct, 100_000), None, None),
    case("1 M x 2 floats", 1, false, Rows(Floats, 1_000_000), Some(9.0), None),
    case("1 M x 2 ints", 1, false, Rows(Ints, 1_000_000), Some(4.0), None),
    case("1 M distinct strings", 1, false, Column(Distinct, 1_000_000), Some(3.3), None),
    case("1 M repeated strings", 1, false, Column(Repeated, 1_000_000), None, None),
    case("1 M escaped strings", 1, false, Column(Escaped, 1_000_000), Some(5.0), None),
    case("numpy array of 1 M floats", 1, false, Numpy(1_000_000), Some(12.0), None),
];

/// One connection more than there are workers is where a queue begins.
pub(crate) const CURVE: [usize; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

const fn case(
    name: &'static str,
    connections: usize,
    authenticated: bool,
    content: Content,
    target: Option<f64>,
    echo_target: Option<f64>,
) -> Case {
    Case { name, connections, authenticated, content, functions: 0, target, echo_target }
}

const fn with(functions: usize, case: Case) -> Case {
    Case { functions, ..case }
}

/// The function that is called is the first one; the others are there.
pub(crate) fn function(number: usize) -> String {
    format!("def add_one_{number}(x):\n    return x[0] + 1\n")
}

impl Content {
    pub(crate) fn path(self) -> &'static str {
        if matches!(self, Query) { "/query/add_one_0" } else { "/evaluate" }
    }

    /// `lists` for a server that cannot write arrays.
    pub(crate) fn body(self, lists: bool) -> String {
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
            Column(kind, rows) => {
                let mut body = r#"{"script":"return _arg1","data":{"_arg1":["#.to_owned();
                kind.write_column(&mut body, rows, 1, ",");
                body.push_str("]}}");
                body
            }
            Numpy(rows) => {
                let list = if lists { ".tolist()" } else { "" };
                format!(
                    r#"{{"script":"import numpy\nreturn (numpy.arange(_arg1[0]) / 7){list}","data":{{"_arg1":[{rows}]}}}}"#
                )
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
            Rows(kind, rows) | Column(kind, rows) => {
                let mut answer = "[".to_owned();
                kind.write_column(&mut answer, rows, 1, ", ");
                answer.push(']');
                answer
            }
            Numpy(rows) => {
                let mut answer = "[0.0".to_owned();
                for row in 1..rows {
                    let _ = write!(answer, ", {:?}", row as f64 / 7.0);
                }
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
                Distinct => write!(out, "\"Customer {:08}\"", number % 100_000_000),
                Repeated => write!(out, "\"Category {}\"", number % 40),
                Escaped => write!(out, "\"\\u00e9\\u4e2d\\u6587{row}\""),
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
