//! One section of an INI file, read as Python's `configparser` reads it: `=` or `:`, comments that
//! fill a line, indented lines that go on with a value, `%(NAME)s` and `%%`. It knows no setting and
//! opens no file. A file that Python would refuse is refused here too, with the line's number.

use std::collections::BTreeMap;

/// How the names before `=` are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// In upper case: the file's own case means nothing.
    AnyCase,
    /// As they are written, and a name may stand alone, without a value.
    AsWritten,
}

/// The values of one section, the ones of `[DEFAULT]` beneath them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) values: BTreeMap<String, String>,
}

/// How deep a value may refer to others, as in Python.
const DEPTH: usize = 10;

impl Section {
    /// `None` when the file has no such section.
    pub(crate) fn parse(text: &str, wanted: &str, names: Names) -> Result<Option<Self>, String> {
        let mut file = File { wanted, names, defaults: Lines::default(), section: None };
        let mut place = Place::Outside;
        let mut option: Option<String> = None;
        let mut indent = 0;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let value = line.trim();
            if value.starts_with(['#', ';']) {
                continue;
            }
            let current = line.len() - line.trim_start().len();
            if value.is_empty() || (option.is_some() && current > indent) {
                if let Some(lines) = option.as_ref().and_then(|name| file.lines_of(place)?.get_mut(name)) {
                    lines.push(value.to_owned());
                }
                continue;
            }
            indent = current;
            if let Some(header) = header(value) {
                place = file.enter(header, index + 1)?;
                option = None;
                continue;
            }
            option = match place {
                Place::Outside => {
                    return Err(format!("line {}: there is no [section] above it", index + 1));
                }
                // Its indented lines are values too, and not the headers they may look like.
                Place::Elsewhere => Some(value.to_owned()),
                Place::Defaults | Place::Wanted => file.keep(place, value, index + 1)?,
            };
        }
        Ok(file.finish())
    }

    /// The value of a name with its references resolved, in this section first and then by `outside`.
    pub(crate) fn resolve(
        &self,
        name: &str,
        outside: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        let raw = self.values.get(name).map_or("", String::as_str);
        self.interpolate(raw, outside, 0)
    }

    fn interpolate(
        &self,
        raw: &str,
        outside: &dyn Fn(&str) -> Option<String>,
        depth: usize,
    ) -> Result<String, String> {
        if depth >= DEPTH {
            return Err("its %(...)s references go round in a circle".to_owned());
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let reference = after.strip_prefix('(').and_then(|text| text.split_once(")s"));
            let Some((name, after)) = reference else {
                return Err("a % in it is neither %% (a plain percent sign) nor %(NAME)s".to_owned());
            };
            let known = self.values.get(&name.to_uppercase()).or_else(|| self.values.get(name));
            match known {
                Some(value) => out.push_str(&self.interpolate(value, outside, depth + 1)?),
                None => match outside(name) {
                    Some(value) => out.push_str(&value),
                    None => return Err(format!("%({name})s is set neither there nor in the environment")),
                },
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The lines of each value, before they are joined.
type Lines = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, Copy)]
enum Place {
    Outside,
    Elsewhere,
    Defaults,
    Wanted,
}

struct File<'a> {
    wanted: &'a str,
    names: Names,
    defaults: Lines,
    section: Option<Lines>,
}

impl File<'_> {
    fn enter(&mut self, header: &str, line: usize) -> Result<Place, String> {
        if header == self.wanted {
            if self.section.is_some() {
                return Err(format!("line {line}: [{header}] is there twice"));
            }
            self.section = Some(Lines::default());
            return Ok(Place::Wanted);
        }
        Ok(if header == "DEFAULT" { Place::Defaults } else { Place::Elsewhere })
    }

    fn lines_of(&mut self, place: Place) -> Option<&mut Lines> {
        match place {
            Place::Wanted => self.section.as_mut(),
            Place::Defaults => Some(&mut self.defaults),
            Place::Outside | Place::Elsewhere => None,
        }
    }

    /// Keeps one `name = value` and says which name an indented line would go on with.
    fn keep(&mut self, place: Place, text: &str, line: usize) -> Result<Option<String>, String> {
        let (name, value) = match (text.split_once(['=', ':']), self.names) {
            (Some(pair), _) => pair,
            (None, Names::AsWritten) => (text, ""),
            (None, Names::AnyCase) => {
                return Err(format!("line {line}: there is no = between name and value"));
            }
        };
        let name = match self.names {
            Names::AnyCase => name.trim_end().to_uppercase(),
            Names::AsWritten => name.trim_end().to_owned(),
        };
        if name.is_empty() {
            return Err(format!("line {line}: there is no name before the = sign"));
        }
        let Some(lines) = self.lines_of(place) else { return Ok(None) };
        if lines.insert(name.clone(), vec![value.trim().to_owned()]).is_some() {
            return Err(format!("line {line}: {name} is set twice"));
        }
        Ok(Some(name))
    }

    fn finish(self) -> Option<Section> {
        let mut lines = self.defaults;
        lines.extend(self.section?);
        let join = |(name, lines): (String, Vec<String>)| (name, lines.join("\n").trim_end().to_owned());
        Some(Section { values: lines.into_iter().map(join).collect() })
    }
}

fn header(value: &str) -> Option<&str> {
    let inside = value.strip_prefix('[')?;
    let end = inside.rfind(']').filter(|end| *end > 0)?;
    Some(&inside[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        Section::parse(text, "TabPy", Names::AnyCase).unwrap().unwrap()
    }

    #[test]
    fn only_the_section_counts_and_names_have_no_case() {
        let text = "\u{feff}[loggers]\nkeys=root\nno delimiter here\n[TabPy]\r\ntabpy_port: 9005\nTABPY_PWD_FILE = a=b:c\n[other]\nTABPY_PORT = 1\n";
        let values = section(text).values;
        assert_eq!(values["TABPY_PORT"], "9005");
        assert_eq!(values["TABPY_PWD_FILE"], "a=b:c");
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn comments_fill_a_line_and_indented_lines_go_on() {
        let text = "[TabPy]\n# one\n  ; two\nA = 1 # kept\nB = x\n  y\n  # no\n\n  z\nC =\n";
        let values = section(text).values;
        assert_eq!(values["A"], "1 # kept");
        assert_eq!(values["B"], "x\ny\n\nz");
        assert_eq!(values["C"], "");
    }

    #[test]
    fn defaults_lie_beneath() {
        let values = section("[DEFAULT]\nA = 1\nB = 2\n[TabPy]\nB = 3\n").values;
        assert_eq!((values["A"].as_str(), values["B"].as_str()), ("1", "3"));
    }

    #[test]
    fn references_are_resolved() {
        let section = section(
            "[TabPy]\nROOT = %(home)s/x\nP = %(Root)s/%%\nBAD = 5%\nGONE = %(nope)s\nLOOP = %(loop)s\n",
        );
        let outside = |name: &str| (name == "home").then(|| "/h%d".to_owned());
        assert_eq!(section.resolve("P", &outside).unwrap(), "/h%d/x/%");
        assert!(section.resolve("BAD", &outside).unwrap_err().contains("%%"));
        assert!(section.resolve("GONE", &outside).unwrap_err().contains("nope"));
        assert!(section.resolve("LOOP", &outside).unwrap_err().contains("circle"));
    }

    #[test]
    fn what_python_refuses_is_refused_with_its_line() {
        for (text, words) in [
            ("A = 1\n", "line 1: there is no [section]"),
            ("[TabPy]\nA\n", "line 2: there is no ="),
            ("[TabPy]\n= 1\n", "line 2: there is no name"),
            ("[TabPy]\nA = 1\na = 2\n", "line 3: A is set twice"),
            ("[TabPy]\n[TabPy]\n", "line 2: [TabPy] is there twice"),
        ] {
            let error = Section::parse(text, "TabPy", Names::AnyCase).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        assert_eq!(Section::parse("[tabpy]\nA = 1\n", "TabPy", Names::AnyCase), Ok(None));
    }

    #[test]
    fn an_indented_header_is_a_value() {
        let text = "[other]\na = 1\n  [TabPy]\n  b = 2\n[TabPy]\nc = 3\n  [other]\nd = 4\n";
        let values = section(text).values;
        assert_eq!((values["C"].as_str(), values["D"].as_str()), ("3\n[other]", "4"));
        assert_eq!(values.len(), 2);
    }

    /// Every text that can be made of these pieces, up to three of them, read here and by Python.
    #[test]
    fn python_reads_the_same() {
        const PIECES: [&str; 12] = [
            "[TabPy]\n",
            "[DEFAULT]\n",
            "a = 1\n",
            "A: x = y\n",
            "b =\n",
            "  more %%\n",
            "\n",
            " # c\n",
            "b = %(a)s\n",
            "=\n",
            "word\n",
            "c : 5%\n",
        ];
        let mut texts = vec![String::new()];
        for _ in 0..3 {
            let longer = texts.iter().flat_map(|text| PIECES.map(|piece| format!("{text}{piece}")));
            texts = texts.iter().cloned().chain(longer).collect();
            texts.sort();
            texts.dedup();
        }
        let texts: Vec<String> =
            texts.iter().map(|text| format!("[TabPy]\n{text}")).chain(texts.clone()).collect();
        let ours: Vec<_> = texts
            .iter()
            .map(|text| {
                let section = Section::parse(text, "TabPy", Names::AnyCase).ok()?;
                let section = section.unwrap_or_default();
                let value = |name: &String| (name.clone(), section.resolve(name, &|_| None).ok());
                Some(section.values.keys().map(value).collect::<BTreeMap<_, _>>())
            })
            .collect();
        let script = "
import configparser, json, sys
def get(parser, name):
    try:
        return parser.get('TabPy', name)
    except configparser.InterpolationError:
        return None
def read(text):
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    if not parser.has_section('TabPy'):
        return {}
    return {name.upper(): get(parser, name) for name in parser.options('TabPy')}
json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)";
        let theirs: Vec<Option<BTreeMap<String, Option<String>>>> = crate::tests::python(script, &texts);
        assert_eq!(theirs.len(), texts.len());
        for ((text, ours), theirs) in texts.iter().zip(ours).zip(theirs) {
            assert_eq!(ours, theirs, "{text}");
        }
    }

    #[test]
    fn as_written_keeps_case_and_lone_names() {
        let section = Section::parse("[S]\nName = x\nname\n", "S", Names::AsWritten).unwrap().unwrap();
        assert_eq!(section.values["Name"], "x");
        assert_eq!(section.values["name"], "");
    }
}
