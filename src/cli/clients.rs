//! The flags of the commands that speak to other machines. No flag takes a secret: a command line can be
//! seen by everybody on the machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::connect::{Act, Examination, Options, Order};
use crate::deploy::{Deployment, Task};

/// Connect a Tableau site to a running server: check it, sign in, create or update the connection
///
/// Secrets come from the environment (TABLEAU_TOKEN_NAME and TABLEAU_TOKEN_VALUE, or TABLEAU_USERNAME and
/// TABLEAU_PASSWORD; TABPY_USERNAME and TABPY_PASSWORD for the server), from the file of --secrets, or from a prompt.
///
/// Exit codes: 0 done, 1 something else, 2 a wrong flag, address or variable, 3 the server failed a check, 4 sign-in
/// refused, 5 not allowed, 6 analytics extensions are off for the site, 7 no such connection or workbook (or another
/// type, or several), 8 Tableau does not answer, 130 interrupted.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// The server's address as Tableau is to reach it, like https://tabpy.example.com
    #[arg(value_name = "SERVER")]
    server: Option<String>,
    /// Tableau's address; that of your site, from the browser, will do (or TABLEAU_URL)
    #[arg(long, value_name = "ADDRESS")]
    tableau: Option<String>,
    /// The site, as it stands after /site/ in the browser's address (or TABLEAU_SITE); several on Tableau Server
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// The connection's name; one that exists is updated
    #[arg(long, default_value = "tabpy-rs", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Let this workbook (its name or id) use the connection
    #[arg(long, value_name = "NAME")]
    workbook: Option<String>,
    /// Turn analytics extensions on for the site, should they be off
    #[arg(long)]
    enable_site: bool,
    /// Change nothing: show the calls that would, without their secrets
    #[arg(long)]
    dry_run: bool,
    /// Do not ask the server anything: Tableau reaches it, but this machine does not
    #[arg(long)]
    skip_checks: bool,
    /// Check the server and the sign-in, and no more
    #[arg(long, group = "act", conflicts_with_all = ["workbook", "enable_site", "dry_run"])]
    check: bool,
    /// Show the site's connections
    #[arg(long, group = "act", conflicts_with_all = ["workbook", "enable_site", "server"])]
    list: bool,
    /// Remove the connection; with --workbook only the workbook's link to one
    #[arg(long, group = "act", conflicts_with_all = ["enable_site", "server"])]
    remove: bool,
    #[command(flatten)]
    options: Common,
}

/// Say why Tableau would fail to use a server, and what to do about it
///
/// Judges as Tableau Cloud does; with --on-premises, --ca-file or --insecure as Tableau Server does. Exit codes: 0 all
/// is well, 2 a wrong flag or address, 3 a check failed.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The server's address as Tableau is to reach it
    #[arg(value_name = "SERVER")]
    server: String,
    /// Judge as Tableau Server does: this machine's certificates, plain http and open servers pass
    #[arg(long)]
    on_premises: bool,
    #[command(flatten)]
    options: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// One JSON object at the end instead of a line a step
    #[arg(long)]
    json: bool,
    /// Believe every certificate, and send passwords over plain http (not for Tableau Cloud)
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    given: Files,
    /// How long one call may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

#[derive(Debug, Args)]
struct Files {
    /// Authorities to believe beside the operating system's, in PEM form
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A file of NAME=value lines for variables that the environment does not have
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

/// Deploy a function of a Python file to a running server
///
/// Signs in with TABPY_USERNAME and TABPY_PASSWORD of the environment or of the file of --secrets; a missing password
/// is asked for.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// The file, and the function in it if it is not called as the file
    #[arg(value_name = "FILE.py[:FUNCTION]")]
    file: String,
    /// The name to deploy it under, if it is not the function's own
    #[arg(long)]
    name: Option<String>,
    /// What it does; else its docstring says
    #[arg(long)]
    description: Option<String>,
    /// Show it in Tableau's list of functions
    #[arg(long)]
    public: bool,
    /// A file with its schema in JSON
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    #[command(flatten)]
    to: Remote,
}

/// Show, remove and restore the functions of a running server
#[derive(Debug, Args)]
pub(super) struct Functions {
    #[command(subcommand)]
    task: FunctionsTask,
}

#[derive(Debug, Subcommand)]
enum FunctionsTask {
    /// Show the functions and their versions
    List {
        #[command(flatten)]
        to: Remote,
    },
    /// Remove a function
    Remove {
        name: String,
        #[command(flatten)]
        to: Remote,
    },
    /// Put an earlier version in force again, as a new one
    Rollback {
        name: String,
        /// The version to restore; `functions list` shows which there are
        #[arg(long, value_name = "NUMBER")]
        version: u64,
        #[command(flatten)]
        to: Remote,
    },
}

#[derive(Debug, Args)]
struct Remote {
    /// The server's address
    #[arg(long, value_name = "ADDRESS")]
    server: String,
    /// One JSON object instead of words
    #[arg(long)]
    json: bool,
    /// Believe every certificate, and send the password over plain http
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    given: Files,
}

impl Connect {
    pub(super) fn order(self) -> Order {
        let act = match self {
            Self { check: true, .. } => Act::Check,
            Self { list: true, .. } => Act::List,
            Self { remove: true, .. } => Act::Remove,
            _ => Act::Register,
        };
        Order {
            act,
            server: self.server,
            tableau: self.tableau,
            sites: self.site,
            name: self.name,
            workbook: self.workbook,
            enable_site: self.enable_site,
            dry_run: self.dry_run,
            skip_checks: self.skip_checks,
            options: self.options.options(),
        }
    }
}

impl Doctor {
    pub(super) fn examination(self) -> Examination {
        Examination { server: self.server, on_premises: self.on_premises, options: self.options.options() }
    }
}

impl Common {
    fn options(self) -> Options {
        Options {
            json: self.json,
            insecure: self.insecure,
            ca_file: self.given.ca_file,
            secrets: self.given.secrets,
            patience: Duration::from_secs(self.timeout),
        }
    }
}

impl Deploy {
    pub(super) fn deployment(self) -> Deployment {
        // A file's own name may hold a colon; what follows the last one is a function only behind `.py`.
        let (file, function) = match self.file.rsplit_once(".py:") {
            Some((stem, function)) => (format!("{stem}.py"), Some(function.to_owned())),
            None => (self.file, None),
        };
        self.to.deployment(Task::Deploy {
            file: file.into(),
            function,
            name: self.name,
            description: self.description,
            public: self.public,
            schema: self.schema,
        })
    }
}

impl Functions {
    pub(super) fn deployment(self) -> Deployment {
        match self.task {
            FunctionsTask::List { to } => to.deployment(Task::List),
            FunctionsTask::Remove { name, to } => to.deployment(Task::Remove { name }),
            FunctionsTask::Rollback { name, version, to } => to.deployment(Task::Rollback { name, version }),
        }
    }
}

impl Remote {
    fn deployment(self, task: Task) -> Deployment {
        Deployment {
            task,
            server: self.server,
            json: self.json,
            insecure: self.insecure,
            ca_file: self.given.ca_file,
            secrets: self.given.secrets,
        }
    }
}
