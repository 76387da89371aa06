//! Where settings come from: the environment, `.env` and a file in INI form, merged into one map.
//! No other file reads the environment. The merging is a function of pairs and text alone; what a
//! value means is not known here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::ini::{Names, Section};
use super::raw::Raw;
use super::settings::{self, Standing};

pub(super) type Pairs = Vec<(String, String)>;

/// Variables that are no settings, but say what a default is.
pub(super) const SURROUNDINGS: &[&str] = &["DYNO", "HOME", "VIRTUAL_ENV", "XDG_STATE_HOME"];

/// Settings for which an empty text means something; elsewhere it counts as unset.
const EMPTY_COUNTS: &[&str] = &["TABPY_LOG_DETAILS", "TABPY_PWD_FILE"];

/// Language, time zone, network, number of threads, and where libraries are, Python's own among them: what scripts need and nobody
/// hides.
fn is_for_every_script(name: &str) -> bool {
    ["PATH", "LD_LIBRARY_PATH", "LANG", "TZ", "REQUESTS_CA_BUNDLE"].contains(&name)
        || ["LC_", "SSL_", "OPENBLAS_"].iter().any(|start| name.starts_with(start))
        || name.ends_with("_NUM_THREADS")
        || name.to_ascii_lowercase().ends_with("_proxy")
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Environment,
    DotEnv,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment => f.write_str("the environment"),
            Origin::DotEnv => f.write_str(".env"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Every value that was given, each with its origin.
#[derive(Default)]
pub(super) struct Sources {
    values: BTreeMap<String, (String, Origin)>,
    /// The environment and `.env` as they are, for what scripts may see of them.
    surroundings: Pairs,
    /// The files that were looked for.
    pub(super) files: Vec<PathBuf>,
    pub(super) warnings: Vec<String>,
}

impl Sources {
    /// Reads the process's environment, `.env` in the working folder, and the file if there is one.
    pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let environment = environment(std::env::vars_os())?;
        let text = match file {
            Some(path) => Some((path, read_file(path)?)),
            None => None,
        };
        let mut sources = Self::merge(&environment, &dotenv(Path::new(".env"))?, text)?;
        sources.files = std::iter::once(Path::new(".env")).chain(file).map(Path::to_owned).collect();
        Ok(sources)
    }

    /// The environment wins over `.env`, and `.env` over the file.
    pub(super) fn merge(
        environment: &Pairs,
        dotenv: &Pairs,
        file: Option<(&Path, String)>,
    ) -> anyhow::Result<Self> {
        let surroundings = environment.iter().chain(dotenv).cloned().collect();
        let mut sources = Self { surroundings, ..Self::default() };
        for (name, value) in environment {
            sources.take(name, value, &Origin::Environment);
        }
        for (name, value) in dotenv {
            sources.take(name, value, &Origin::DotEnv);
        }
        if let Some((path, text)) = file {
            let outside = |name: &str| {
                let mut pairs = environment.iter().chain(dotenv);
                pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
            };
            sources.take_file(path, &text, &outside)?;
        }
        for setting in settings::SETTINGS.iter().filter(|setting| setting.standing == Standing::NotYet) {
            if let Some((_, origin)) = sources.values.get(setting.name) {
                let (name, meaning) = (setting.name, setting.meaning);
                sources.warnings.push(format!(
                    "{name} ({meaning}) is set in {origin}, but not in force yet: this version does not look at it"
                ));
            }
        }
        Ok(sources)
    }

    pub(super) fn origin(&self, name: &str) -> String {
        self.values.get(name).map_or_else(|| "the default".to_owned(), |(_, origin)| origin.to_string())
    }

    /// The environment of a worker: what every program needs to find its way, and `allowed` by name.
    pub(super) fn for_scripts(&self, allowed: &[String]) -> Pairs {
        let mut pairs = Pairs::new();
        for (name, value) in &self.surroundings {
            let wanted = is_for_every_script(name) || allowed.contains(name);
            // The environment comes first, and so it wins over `.env`.
            if wanted && !pairs.iter().any(|(known, _)| known == name) {
                pairs.push((name.clone(), value.clone()));
            }
        }
        pairs
    }

    /// All values in one struct.
    pub(super) fn raw(&self) -> anyhow::Result<Raw> {
        let pairs = self.values.iter().map(|(name, (value, _))| (name.clone(), value.clone()));
        envy::from_iter(pairs).context("could not read the settings")
    }

    fn take(&mut self, name: &str, value: &str, origin: &Origin) {
        if settings::find(name).is_none() && !SURROUNDINGS.contains(&name) {
            if name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("TABPY_")) {
                let hint = settings::nearest(name).map(|name| format!("; did you mean {name}?"));
                self.warnings.push(format!(
                    "{name} in {origin} is not a setting and has no effect{}",
                    hint.unwrap_or_default()
                ));
            }
        } else if !value.trim().is_empty() || EMPTY_COUNTS.contains(&name) {
            self.values.entry(name.to_owned()).or_insert_with(|| (value.to_owned(), origin.clone()));
        }
    }

    fn take_file(
        &mut self,
        path: &Path,
        text: &str,
        outside: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<()> {
        let section = Section::parse(text, "TabPy", Names::AnyCase)
            .map_err(|why| anyhow!("cannot read the settings file {}: {why}", path.display()))?;
        let Some(section) = section else {
            self.warnings
                .push(format!("{} has no [TabPy] section: nothing in it has an effect", path.display()));
            return Ok(());
        };
        let origin = Origin::File(path.to_owned());
        for name in section.values.keys() {
            // Other names are there for references; a misspelt setting among them gets its warning.
            if settings::find(name).is_none() && !name.starts_with("TABPY_") {
                continue;
            }
            if let Some((_, own)) = PLATFORMS.iter().find(|(platforms, _)| platforms == name) {
                // `port = 9004` may stand there for what refers to it.
                if !section.values.contains_key(*own) {
                    self.warnings.push(format!("{name} in {origin} has no effect: in a file it is {own}"));
                }
                continue;
            }
            // A value that a stronger source hides need not make sense.
            if self.values.contains_key(name) {
                continue;
            }
            let value = section
                .resolve(name, outside)
                .map_err(|why| anyhow!("{name} in {origin} cannot be read: {why}"))?;
            self.take(name, &value, &origin);
        }
        Ok(())
    }
}

/// What a platform says in the environment, and the same setting in a file.
const PLATFORMS: [(&str, &str); 2] = [("PORT", "TABPY_PORT"), ("WEB_CONCURRENCY", "TABPY_WORKERS")];

/// What the commands that are clients are given: the environment, then `.env`, then a file of the same form.
pub(super) fn variables(file: Option<&Path>) -> anyhow::Result<Pairs> {
    let mut pairs = environment(std::env::vars_os())?;
    pairs.extend(dotenv(Path::new(".env"))?);
    if let Some(path) = file {
        // A pipe will do as well.
        if !path.exists() || path.is_dir() {
            bail!("there is no file {}", path.display());
        }
        pairs.extend(dotenv(path)?);
    }
    Ok(pairs)
}

/// Other programs' variables may hold any bytes; ours must be text.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Pairs> {
    let mut pairs = Pairs::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => pairs.push((name, value)),
            Err(_) if settings::find(&name).is_some() => {
                bail!("{name} in the environment is not UTF-8 text: set it again")
            }
            Err(_) => {}
        }
    }
    Ok(pairs)
}

/// The pairs of a `.env` file; the process's own environment stays as it is.
fn dotenv(path: &Path) -> anyhow::Result<Pairs> {
    // Some call their virtual environment so.
    if path.is_dir() {
        return Ok(Pairs::new());
    }
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Pairs::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // Some editors begin every file with a mark of its encoding.
    let lines = dotenvy::from_read_iter(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text));
    let pair = |line: dotenvy::Result<(String, String)>| {
        // The library's own words repeat the line, which may hold a password.
        line.map_err(|_| {
            anyhow!(
                "{} has a line that is not NAME=value; a value with spaces, quotes, # or $ belongs in single quotes",
                path.display()
            )
        })
    };
    lines.map(pair).collect()
}

/// TabPy goes on without a file that it cannot read. The file may have named the passwords, so going
/// on would be unsafe.
fn read_file(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the settings file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn file(text: &str) -> Option<(&Path, String)> {
        Some((Path::new("t.conf"), text.to_owned()))
    }

    #[test]
    fn the_environment_wins_then_dotenv_then_the_file() {
        let text = "[TabPy]\nTABPY_PORT = 3\nTABPY_HOST = c\nTABPY_QUEUE_SIZE = 3\n";
        let sources = Sources::merge(
            &pairs(&[("TABPY_PORT", "1")]),
            &pairs(&[("TABPY_PORT", "2"), ("TABPY_HOST", "b")]),
            file(text),
        )
        .unwrap();
        let raw = sources.raw().unwrap();
        assert_eq!(raw.tabpy_port.as_deref(), Some("1"));
        assert_eq!(raw.tabpy_host.as_deref(), Some("b"));
        assert_eq!(raw.tabpy_queue_size.as_deref(), Some("3"));
        assert_eq!(sources.origin("TABPY_QUEUE_SIZE"), "t.conf");
        assert_eq!(sources.origin("TABPY_HOST"), ".env");
    }

    #[test]
    fn every_setting_but_the_platforms_may_stand_in_the_file_whatever_its_name_begins_with() {
        let is_platforms = |name: &str| PLATFORMS.iter().any(|(platforms, _)| *platforms == name);
        let text = settings::SETTINGS
            .iter()
            .fold("[TabPy]\nhome = /h\n".to_owned(), |text, setting| text + setting.name + " = x%%y\n");
        let sources = Sources::merge(&pairs(&[]), &Pairs::new(), file(&text)).unwrap();
        for setting in settings::SETTINGS.iter().filter(|setting| !is_platforms(setting.name)) {
            assert_eq!(sources.origin(setting.name), "t.conf", "{}", setting.name);
        }
        let raw = sources.raw().unwrap();
        assert_eq!((raw.port.as_deref(), raw.home.as_deref()), (None, None));
        assert_eq!(raw.database_url.as_deref(), Some("x%y"));
        // Scripts are given the environment's variables, and not what the file holds.
        assert!(sources.for_scripts(&["DATABASE_URL".to_owned()]).is_empty());
    }

    #[test]
    fn the_platforms_names_are_told_what_they_are_in_a_file_unless_they_are_referred_to() {
        let warnings =
            |text: &str| Sources::merge(&pairs(&[]), &Pairs::new(), file(text)).unwrap().warnings.join("\n");
        let told = warnings("[TabPy]\nport = 1\nWEB_CONCURRENCY = 2\n");
        assert!(told.contains("PORT in t.conf has no effect: in a file it is TABPY_PORT"), "{told}");
        assert!(
            told.contains("WEB_CONCURRENCY in t.conf has no effect: in a file it is TABPY_WORKERS"),
            "{told}"
        );
        assert_eq!(warnings("[TabPy]\nport = 9004\nTABPY_PORT = %(port)s\n"), "");
    }

    #[test]
    fn an_empty_text_is_unset_but_for_two() {
        let environment = pairs(&[("TABPY_PORT", ""), ("TABPY_PWD_FILE", ""), ("TABPY_LOG_DETAILS", "")]);
        let raw = Sources::merge(&environment, &pairs(&[("TABPY_PORT", "2")]), None).unwrap().raw().unwrap();
        assert_eq!(raw.tabpy_port.as_deref(), Some("2"));
        assert_eq!(raw.tabpy_pwd_file.as_deref(), Some(""));
        assert_eq!(raw.tabpy_log_details.as_deref(), Some(""));
    }

    #[test]
    fn references_in_the_file_take_the_environment() {
        let text = "[TabPy]\nTABPY_STATE_PATH = %(home)s/%(folder)s\nfolder = s\n";
        let sources = Sources::merge(&pairs(&[("HOME", "/h%")]), &Pairs::new(), file(text)).unwrap();
        assert_eq!(sources.raw().unwrap().tabpy_state_path.as_deref(), Some("/h%/s"));
        assert!(sources.warnings.is_empty(), "{:?}", sources.warnings);
    }

    #[test]
    fn a_reference_to_nothing_names_the_setting_and_the_file() {
        let error = Sources::merge(&Pairs::new(), &Pairs::new(), file("[TabPy]\nTABPY_PORT = %(nope)s\n"));
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("TABPY_PORT") && error.contains("t.conf") && error.contains("nope"),
            "{error}"
        );
    }

    #[test]
    fn unknown_and_later_settings_are_warnings() {
        let environment = pairs(&[("TABPY_PROT", "1"), ("TABPY_KEY_FILE", "x"), ("OTHER", "x")]);
        let warnings = Sources::merge(&environment, &Pairs::new(), None).unwrap().warnings;
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("TABPY_PROT") && warnings[0].contains("did you mean TABPY_PORT?"));
        assert!(warnings[1].contains("TABPY_KEY_FILE") && warnings[1].contains("not in force yet"));
    }

    #[test]
    fn dotenv_is_parsed_without_showing_a_bad_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        assert!(dotenv(&path).unwrap().is_empty());
        assert!(dotenv(folder.path()).unwrap().is_empty());
        std::fs::write(&path, "# c\nTABPY_PORT=9005\nexport TABPY_PASSWORD='a $b #c'\n").unwrap();
        assert_eq!(dotenv(&path).unwrap(), pairs(&[("TABPY_PORT", "9005"), ("TABPY_PASSWORD", "a $b #c")]));
        std::fs::write(&path, "\u{feff}TABPY_PORT=9005\n").unwrap();
        assert_eq!(dotenv(&path).unwrap(), pairs(&[("TABPY_PORT", "9005")]));
        std::fs::write(&path, "TABPY_PASSWORD=se cret\n").unwrap();
        let error = format!("{:#}", dotenv(&path).unwrap_err());
        assert!(!error.contains("cret") && error.contains("single quotes"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        for path in ["/nonexistent/t.conf", "/"] {
            let error = read_file(Path::new(path)).unwrap_err();
            assert!(error.to_string().contains(path), "{error:#}");
        }
    }
}
