//! The settings, parsed once into types that cannot be wrong. They come from the environment, `.env`
//! and a file in TabPy's INI form; the first value that cannot be used is an error that names the
//! setting, where its value came from and what it takes. Nothing is created, bound or started here.

mod functions;
pub(crate) mod ini;
mod listening;
mod log;
mod pool;
mod python;
mod raw;
mod scripts;
mod settings;
mod sizing;
mod sources;
mod state;
mod values;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;

pub use self::pool::Pool;
pub use self::python::LINKED_VERSION;
use self::raw::Raw;
pub use self::settings::{SETTINGS, Setting, Standing};
use self::sources::Sources;
use self::values::Value;
use crate::credentials::{Secret, UserName};
use crate::telemetry::Log;
use crate::wire::Confinement;

/// What the command line says about settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--disable-auth-warning`: no authentication, knowingly.
    pub disable_auth_warning: bool,
}

#[derive(Debug)]
pub struct Config {
    /// All of these, of which one that the machine cannot have (IPv6) may be missing.
    pub listen: Vec<SocketAddr>,
    pub http: Http,
    pub authentication: Authentication,
    pub evaluate: Evaluate,
    /// `TABPY_QUERY_TIMEOUT`
    pub query_timeout: Timeout,
    pub pool: Pool,
    pub python: PythonEnvironment,
    pub service: Service,
    /// Deployed functions.
    pub functions: crate::store::Settings,
    pub log: Log,
    /// `TABPY_SHUTDOWN_TIMEOUT`
    pub shutdown_timeout: Duration,
    /// What the operator should read once the log is open.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct Http {
    /// `TABPY_MAX_REQUEST_SIZE_MB`
    pub max_request_bytes: usize,
    /// What the bodies of all requests together may take of memory.
    pub bodies_bytes: usize,
    /// `TABPY_METRICS_OPEN`
    pub metrics_open: bool,
    /// `TABPY_GZIP_ENABLE`
    pub gzip: bool,
    /// `TABPY_STATIC_PATH`
    pub static_path: Option<PathBuf>,
    /// `TABPY_TRUST_PROXY`
    pub trust_proxy: bool,
}

/// How requests are admitted.
#[derive(Debug)]
pub enum Authentication {
    /// By the password file, by the user from the environment, or both.
    Required { password_file: Option<PathBuf>, user: Option<EnvironmentUser> },
    /// By a password for `tabpy` that is made up and kept in a password file at this path.
    MadeUp { path: PathBuf },
    /// Everybody, knowingly.
    OpenToAll,
    /// Everybody on this machine.
    OpenOnLoopback,
}

impl Authentication {
    fn password_file(&self) -> Option<&Path> {
        match self {
            Self::Required { password_file, .. } => password_file.as_deref(),
            Self::MadeUp { path } => Some(path),
            Self::OpenToAll | Self::OpenOnLoopback => None,
        }
    }
}

/// `TABPY_USERNAME` and `TABPY_PASSWORD`.
#[derive(Debug)]
pub struct EnvironmentUser {
    pub name: UserName,
    pub password: Secret,
}

#[derive(Debug)]
pub struct Evaluate {
    /// `TABPY_EVALUATE_ENABLE`
    pub enabled: bool,
    /// `TABPY_EVALUATE_TIMEOUT`
    pub timeout: Timeout,
}

/// `text` is how TabPy prints it: `30` when the setting is unset, a set value as Python prints a float (`3.0`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeout {
    pub duration: Duration,
    pub text: String,
}

#[derive(Debug)]
pub struct PythonEnvironment {
    /// `TABPY_PYTHON`; of the linked minor version.
    pub executable: PathBuf,
    /// `TABPY_PRELOAD`
    pub preload: Vec<String>,
    /// The whole environment of a worker, `TABPY_SCRIPT_ENV` included.
    pub environment: Vec<(String, String)>,
    /// What scripts are kept from.
    pub confinement: Confinement,
}

/// `TABPY_STATE_PATH` and the `state.ini` in it.
#[derive(Debug)]
pub struct Service {
    pub name: String,
    pub description: String,
    pub creation_time: String,
    pub state_path: PathBuf,
    /// Empty, or `/x`.
    pub subdirectory: String,
    pub access_control: AccessControl,
}

/// The headers for browsers; an empty one is not sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AccessControl {
    pub allow_origin: String,
    pub allow_headers: String,
    pub allow_methods: String,
}

/// What defaults depend on beside the environment.
struct Machine {
    cores: usize,
    /// In bytes.
    memory: u64,
    terminal: bool,
}

/// What the commands that are clients are given beside their arguments; the first of a name counts.
pub(crate) fn variables(file: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    sources::variables(file)
}

impl Config {
    pub fn load(arguments: &Arguments) -> anyhow::Result<Self> {
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(2, usize::from),
            memory: crate::memory::total(),
            terminal: std::io::stdout().is_terminal(),
        };
        Self::parse(Sources::read(arguments.config.as_deref())?, arguments.disable_auth_warning, &machine)
    }

    fn parse(sources: Sources, disable_auth_warning: bool, machine: &Machine) -> anyhow::Result<Self> {
        let raw = sources.raw()?;
        let mut warnings = sources.warnings.clone();
        refuse_what_is_not_supported(&sources, &raw)?;
        let state_path = state::path(&raw)?;
        let (listen, authentication) =
            listening::decide(&sources, &raw, disable_auth_warning, &state_path, &mut warnings)?;
        let mut hidden = vec![state_path.clone()];
        hidden.extend(authentication.password_file().map(Path::to_owned));
        let value = |name, text| Value::new(&sources, name, text);
        let on_heroku = raw.dyno.is_some();
        let script_env = value("TABPY_SCRIPT_ENV", &raw.tabpy_script_env).names(
            "",
            |name| !name.contains('='),
            "names of environment variables, parted by commas",
        )?;
        let max_request_bytes = value("TABPY_MAX_REQUEST_SIZE_MB", &raw.tabpy_max_request_size_mb)
            .bytes(sizing::body_megabytes(machine.memory), 1024 * 1024)?;
        let functions = functions::settings(&sources, &raw, &state_path, machine.memory)?;
        Ok(Self {
            listen,
            authentication,
            http: Http {
                max_request_bytes,
                bodies_bytes: sizing::for_bodies(
                    machine.memory,
                    max_request_bytes,
                    functions.max_function_bytes,
                ),
                metrics_open: value("TABPY_METRICS_OPEN", &raw.tabpy_metrics_open).boolean(false)?,
                gzip: value("TABPY_GZIP_ENABLE", &raw.tabpy_gzip_enable).boolean(true)?,
                static_path: static_path(&raw, &mut warnings)?,
                trust_proxy: value("TABPY_TRUST_PROXY", &raw.tabpy_trust_proxy).boolean(on_heroku)?,
            },
            evaluate: Evaluate {
                enabled: value("TABPY_EVALUATE_ENABLE", &raw.tabpy_evaluate_enable).boolean(true)?,
                timeout: value("TABPY_EVALUATE_TIMEOUT", &raw.tabpy_evaluate_timeout)
                    .timeout(if on_heroku { 25 } else { 30 })?,
            },
            query_timeout: value("TABPY_QUERY_TIMEOUT", &raw.tabpy_query_timeout).timeout(if on_heroku {
                25
            } else {
                300
            })?,
            pool: pool::pool(&sources, &raw, machine)?,
            python: PythonEnvironment {
                executable: python::executable(&sources, &raw, &mut warnings)?,
                preload: preload(&value("TABPY_PRELOAD", &raw.tabpy_preload))?,
                environment: sources.for_scripts(&script_env),
                confinement: scripts::confinement(&sources, &raw, hidden, &mut warnings)?,
            },
            functions,
            service: state::service(state_path)?,
            log: log::log(&sources, &raw, machine)?,
            shutdown_timeout: value("TABPY_SHUTDOWN_TIMEOUT", &raw.tabpy_shutdown_timeout)
                .timeout(25)?
                .duration,
            warnings,
        })
    }
}

/// The folder of pages that stand in for the server's own; nothing where there is none.
fn static_path(raw: &Raw, warnings: &mut Vec<String>) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = raw.tabpy_static_path.as_deref().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = std::path::absolute(path)?;
    if path.join("index.html").is_file() {
        return Ok(Some(path));
    }
    warnings.push(format!(
        "TABPY_STATIC_PATH has no effect: there is no index.html in {}, so the server shows its own page",
        path.display()
    ));
    Ok(None)
}

/// Without these a server would be less safe than its operator believes.
fn refuse_what_is_not_supported(sources: &Sources, raw: &Raw) -> anyhow::Result<()> {
    let protocol = Value::new(sources, "TABPY_TRANSFER_PROTOCOL", &raw.tabpy_transfer_protocol);
    match protocol.text().map(str::to_lowercase).as_deref() {
        None | Some("http") => {}
        Some("https") => bail!(
            "TABPY_TRANSFER_PROTOCOL=https (from {}) is not supported yet: put this server behind a TLS proxy (nginx, \
             Caddy, the platform's edge) and set it to http",
            sources.origin("TABPY_TRANSFER_PROTOCOL")
        ),
        Some(_) => return Err(protocol.wrong("http")),
    }
    for (name, text, instead) in [
        (
            "TABPY_ARROW_ENABLE",
            &raw.tabpy_arrow_enable,
            "set it to false; Tableau then sends its data as JSON",
        ),
        (
            "TABPY_OAUTH_ENABLED",
            &raw.tabpy_oauth_enabled,
            "set it to false and use a password file (TABPY_PWD_FILE)",
        ),
    ] {
        if Value::new(sources, name, text).boolean(false)? {
            bail!("{name}=true (from {}) is not supported yet: {instead}", sources.origin(name));
        }
    }
    Ok(())
}

fn preload(value: &Value<'_>) -> anyhow::Result<Vec<String>> {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    if value.text() == Some("none") {
        return Ok(Vec::new());
    }
    let takes = "names of Python modules, parted by commas, or none";
    let names = value.names("numpy,pandas", |name| !name.is_empty(), takes)?;
    if names.iter().all(|name| name.split('.').all(part)) { Ok(names) } else { Err(value.wrong(takes)) }
}

#[cfg(test)]
mod tests;
