//! `tabpy-rs deploy` and `tabpy-rs functions`: the functions of a running server, from elsewhere. It
//! speaks the server's own `/functions` API (docs/functions.md), shares no disk with it and runs no
//! Python. The password comes from `given`, and leaves in a header alone.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use url::Url;

use crate::given::{Given, Login};
use crate::web::address::ServerAddress;
use crate::web::trust::Trust;
use crate::web::{Answer, Web};

/// The server tries a function before it takes it, for a minute at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// One run of either command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub task: Task,
    pub server: String,
    pub json: bool,
    pub insecure: bool,
    pub ca_file: Option<PathBuf>,
    pub secrets: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Deploy {
        file: PathBuf,
        /// `None`: the one called as the file, else the only public one.
        function: Option<String>,
        /// `None`: the function's, else the file's.
        name: Option<String>,
        description: Option<String>,
        public: bool,
        /// A file.
        schema: Option<PathBuf>,
    },
    List,
    Remove {
        name: String,
    },
    Rollback {
        name: String,
        version: u64,
    },
}

/// Fails with what is wrong.
pub fn run(deployment: &Deployment) -> anyhow::Result<()> {
    let server = ServerAddress::parse(&deployment.server).map_err(|why| anyhow!("--server: {why}"))?;
    let call = Call::of(&deployment.task, &server)?;
    let login = Given::read(deployment.secrets.as_deref())?.login()?;
    if login.is_some() && !server.is_https() && !server.is_this_machine() && !deployment.insecure {
        bail!(
            "{server} is http, where others can read the password on its way: give an https address, or add --insecure if the \
             network is yours alone"
        );
    }
    let trust = match deployment.insecure {
        true => Trust::Anything,
        false => Trust::System { ca_file: deployment.ca_file.clone() },
    };
    if deployment.insecure && server.is_https() {
        eprintln!("tabpy-rs: warning: the certificate of {server} is not checked, as --insecure says");
    }
    let web = Web::new(&trust, PATIENCE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(web.send(call.request(&web, login.as_ref())));
    runtime.shutdown_background();
    let answer = answer.map_err(|trouble| anyhow!("cannot use {server}: {}", trouble.words()))?;
    if !(200..300).contains(&answer.status) {
        return Err(refused(&answer, &server, login.as_ref()));
    }
    let value = match answer.body.is_empty() {
        true => Value::Null,
        false => answer
            .json()
            .with_context(|| format!("{server} answers with what is no JSON: is it tabpy-rs?"))?,
    };
    let text = match deployment.json {
        true => value.to_string(),
        false => words(&deployment.task, &value),
    };
    // Whoever closed the pipe does not want to know.
    let _closed = writeln!(std::io::stdout().lock(), "{text}");
    Ok(())
}

struct Call {
    method: Method,
    url: Url,
    source: Option<Vec<u8>>,
}

impl Call {
    fn of(task: &Task, server: &ServerAddress) -> anyhow::Result<Self> {
        let at = |name: &str, rest: &[&str]| {
            let mut url = server.at("/functions");
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(name).extend(rest);
            }
            url
        };
        Ok(match task {
            Task::List => Self { method: Method::GET, url: server.at("/functions"), source: None },
            Task::Remove { name } => {
                Self { method: Method::DELETE, url: at(checked(name)?, &[]), source: None }
            }
            Task::Rollback { name, version } => {
                let mut url = at(checked(name)?, &["rollback"]);
                url.query_pairs_mut().append_pair("version", &version.to_string());
                Self { method: Method::POST, url, source: None }
            }
            Task::Deploy { file, function, name, description, public, schema } => {
                let source =
                    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                if std::str::from_utf8(&source).is_err() {
                    bail!("{} is not Python source in UTF-8", file.display());
                }
                let stem = file.file_stem().and_then(|stem| stem.to_str());
                let name = name.as_deref().or(function.as_deref()).or(stem).unwrap_or_default();
                let mut url = at(checked(name)?, &[]);
                let schema = schema.as_deref().map(schema_of).transpose()?;
                {
                    let mut query = url.query_pairs_mut();
                    let pairs = [("function", function.as_deref()), ("description", description.as_deref())];
                    for (name, value) in pairs.into_iter().chain([("schema", schema.as_deref())]) {
                        if let Some(value) = value {
                            query.append_pair(name, value);
                        }
                    }
                    if *public {
                        query.append_pair("public", "true");
                    }
                }
                // Without a pair, the address would end in a question mark.
                if url.query() == Some("") {
                    url.set_query(None);
                }
                Self { method: Method::PUT, url, source: Some(source) }
            }
        })
    }

    fn request(&self, web: &Web, login: Option<&Login>) -> RequestBuilder {
        let mut request = web.call(self.method.clone(), self.url.clone());
        if let Some(login) = login {
            request = request.basic_auth(&login.name, Some(login.password.reveal()));
        }
        match &self.source {
            Some(source) => request.header(CONTENT_TYPE, "text/x-python").body(source.clone()),
            None => request,
        }
    }
}

/// A name that can be part of an address; the server knows the rest of the rules.
fn checked(name: &str) -> anyhow::Result<&str> {
    if name.trim().is_empty() || matches!(name, "." | "..") {
        bail!("{name:?} is no name for a function: --name gives it another");
    }
    Ok(name)
}

fn schema_of(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("the schema in {} is no JSON", path.display()))?;
    Ok(value.to_string())
}

fn refused(answer: &Answer, server: &ServerAddress, login: Option<&Login>) -> anyhow::Error {
    match answer.status {
        401 if login.is_none() => {
            return anyhow!("{server} wants a password: set TABPY_USERNAME and TABPY_PASSWORD");
        }
        401 => {
            return anyhow!(
                "{server} does not take this user and password: check TABPY_USERNAME and TABPY_PASSWORD"
            );
        }
        406 => {
            return anyhow!(
                "{server} runs without passwords and refuses one: unset TABPY_USERNAME and TABPY_PASSWORD"
            );
        }
        status => {
            if let Some(target) = answer.redirect(&server.at("/functions")) {
                let host = target.origin().ascii_serialization();
                return anyhow!(
                    "{server} leads elsewhere ({status}, to {host}): give --server the right address"
                );
            }
        }
    }
    let body = answer.json().unwrap_or_default();
    let Some(message) = body["message"].as_str() else {
        return anyhow!(
            "{server} answers {} and gives no reason: is it tabpy-rs, with this path?",
            answer.status
        );
    };
    let line = |text: &str| {
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>()
    };
    match body["info"].as_str().filter(|info| !info.is_empty()) {
        Some(info) => anyhow!("{}: {}", line(message).trim_end_matches('.'), line(info)),
        None => anyhow!("{}", line(message)),
    }
}

fn words(task: &Task, value: &Value) -> String {
    let text = |name: &str| match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    };
    match task {
        Task::Deploy { .. } => {
            format!("Deployed {} as version {}: {}", text("name"), text("version"), text("url"))
        }
        Task::Remove { name } => format!("Removed {name}."),
        Task::Rollback { name, version } => {
            format!("{name} is again what version {version} was, as version {}.", text("version"))
        }
        Task::List => list(value),
    }
}

/// A line a function. Both an object by name and a list of objects are read.
fn list(value: &Value) -> String {
    let entries: Vec<(String, &Value)> = match value.get("functions").unwrap_or(value) {
        Value::Object(members) => members.iter().map(|(name, entry)| (name.clone(), entry)).collect(),
        Value::Array(entries) => {
            entries.iter().map(|entry| (entry["name"].as_str().unwrap_or("?").to_owned(), entry)).collect()
        }
        _ => Vec::new(),
    };
    if entries.is_empty() {
        return "There are no functions.".to_owned();
    }
    let lines = entries.iter().map(|(name, entry)| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let version =
            entry["version"].as_u64().map_or_else(String::new, |version| format!("version {version}"));
        let parts = [name.clone(), version, text("status"), text("origin"), text("description")];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts
            .join("  ")
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect::<String>()
    });
    lines.collect::<Vec<String>>().join("\n")
}
