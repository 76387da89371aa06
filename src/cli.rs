//! The command lines of `tabpy-rs` and `tabpy-user`: flags to plain values. TabPy's own flags work as
//! they did, without naming a command. Nothing is read, started or printed here but help and version.

mod clients;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use self::clients::{Connect, Deploy, Doctor, Functions};
use crate::config::Arguments;
use crate::connect::{Examination, Order as ConnectOrder};
use crate::credentials::Secret;
use crate::credentials::cli::{Action, Order, PasswordFrom};
use crate::deploy::Deployment;

/// `0.1.0 (Python 3.11)`
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (Python ", env!("TABPY_LINKED_PYTHON_VERSION"), ")");

/// Runs Tableau's Python scripts: TabPy's API, in Rust.
#[derive(Debug, Parser)]
#[command(name = "tabpy-rs", version = VERSION, infer_long_args = true)]
pub struct Cli {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Named>,
}

#[derive(Debug, Clone, Args)]
struct Serve {
    /// A settings file in TabPy's form
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// No authentication, knowingly: everybody who can reach the server can run Python on it
    #[arg(long)]
    disable_auth_warning: bool,
}

#[derive(Debug, Subcommand)]
enum Named {
    /// Start the server; also without this word
    Serve(Serve),
    /// Started by the server, to run Python
    #[command(hide = true)]
    Worker {
        /// Run no script, but fork workers that do
        #[arg(long)]
        fork: bool,
    },
    /// Ask the server on this machine whether it is alive; exit code 0 if it is
    Healthcheck {
        /// Its port, if not that of the settings
        #[arg(long)]
        port: Option<u16>,
        /// The server's settings file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    Connect(Connect),
    Doctor(Doctor),
    Deploy(Deploy),
    Functions(Functions),
}

/// What `tabpy-rs` is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Serve(Arguments),
    Worker,
    ForkServer,
    Healthcheck {
        /// `None`: the settings say.
        port: Option<u16>,
        /// To load them with, for the port and the subdirectory.
        arguments: Arguments,
    },
    Connect(ConnectOrder),
    Doctor(Examination),
    Deploy(Deployment),
}

impl Cli {
    /// The process's own command line; help, version and mistakes end the process.
    pub fn from_command_line() -> Command {
        <Self as Parser>::parse().chosen()
    }

    fn chosen(self) -> Command {
        let arguments = |serve: Serve| Arguments {
            config: serve.config,
            disable_auth_warning: serve.disable_auth_warning,
        };
        match self.command {
            None => Command::Serve(arguments(self.serve)),
            Some(Named::Serve(serve)) => Command::Serve(arguments(Serve {
                config: serve.config.or(self.serve.config),
                disable_auth_warning: serve.disable_auth_warning || self.serve.disable_auth_warning,
            })),
            Some(Named::Worker { fork: false }) => Command::Worker,
            Some(Named::Worker { fork: true }) => Command::ForkServer,
            Some(Named::Healthcheck { port, config }) => Command::Healthcheck {
                port,
                arguments: Arguments {
                    config: config.or(self.serve.config),
                    // The server may have been started with the flag; whoever asks after it need not repeat it.
                    disable_auth_warning: true,
                },
            },
            Some(Named::Connect(flags)) => Command::Connect(flags.order()),
            Some(Named::Doctor(flags)) => Command::Doctor(flags.examination()),
            Some(Named::Deploy(flags)) => Command::Deploy(flags.deployment()),
            Some(Named::Functions(flags)) => Command::Deploy(flags.deployment()),
        }
    }
}

/// Adds, changes and lists the users of a password file.
#[derive(Debug, Parser)]
#[command(name = "tabpy-user", version = VERSION, infer_long_args = true)]
pub struct User {
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// Add a user; without a password, one is made up and shown
    Add(NewPassword),
    /// Change a user's password; without one, it is made up and shown
    Update(NewPassword),
    /// Take a user out
    Delete {
        #[command(flatten)]
        user: OneUser,
    },
    /// Show the users' names
    List {
        #[command(flatten)]
        file: File,
    },
    /// Try a password; exit code 0 if it is the user's
    Verify(NewPassword),
}

#[derive(Debug, Args)]
struct NewPassword {
    #[command(flatten)]
    user: OneUser,
    /// The password; others on this machine can see it while this runs
    #[arg(short, long, allow_hyphen_values = true, value_parser = secret, group = "source")]
    password: Option<Secret>,
    /// Ask for the password on the terminal
    #[arg(long, group = "source")]
    prompt: bool,
    /// Read the password from the first line of standard input
    #[arg(long, group = "source")]
    password_stdin: bool,
}

#[derive(Debug, Args)]
struct OneUser {
    /// The user's name; its case means nothing
    #[arg(short, long, alias = "user", value_name = "NAME")]
    username: String,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, Args)]
struct File {
    /// The password file
    #[arg(short = 'f', long, value_name = "FILE")]
    pwdfile: PathBuf,
}

impl User {
    /// The process's own command line; help, version and mistakes end the process.
    pub fn from_command_line() -> Order {
        <Self as Parser>::parse().order()
    }

    fn order(self) -> Order {
        let source = |flags: &mut NewPassword| match flags.password.take() {
            Some(password) => PasswordFrom::Given(password),
            None if flags.prompt => PasswordFrom::Prompt,
            None if flags.password_stdin => PasswordFrom::StandardInput,
            None => PasswordFrom::Unsaid,
        };
        match self.action {
            UserAction::Add(mut flags) => {
                let password = source(&mut flags);
                flags.user.order(|name| Action::Add { name, password })
            }
            UserAction::Update(mut flags) => {
                let password = source(&mut flags);
                flags.user.order(|name| Action::Update { name, password })
            }
            UserAction::Verify(mut flags) => {
                let password = source(&mut flags);
                flags.user.order(|name| Action::Verify { name, password })
            }
            UserAction::Delete { user } => user.order(|name| Action::Delete { name }),
            UserAction::List { file } => Order { action: Action::List, file: file.pwdfile },
        }
    }
}

impl OneUser {
    fn order(self, action: impl FnOnce(String) -> Action) -> Order {
        Order { action: action(self.username), file: self.file.pwdfile }
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn command(line: &str) -> Command {
        Cli::try_parse_from(line.split(' ')).unwrap().chosen()
    }

    fn order(line: &str) -> Order {
        User::try_parse_from(line.split(' ')).unwrap().order()
    }

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
        User::command().debug_assert();
        assert_eq!(
            Cli::command().render_version(),
            format!("tabpy-rs {} (Python {})\n", env!("CARGO_PKG_VERSION"), crate::config::LINKED_VERSION)
        );
    }

    #[test]
    fn serve_needs_no_word() {
        let arguments = Arguments { config: Some("t.conf".into()), disable_auth_warning: true };
        for line in [
            "tabpy --config=t.conf --disable-auth-warning",
            "tabpy --config t.conf --disable-auth-warning",
            "tabpy serve --config t.conf --disable-auth-warning",
            "tabpy --config t.conf serve --disable-auth-warning",
        ] {
            assert_eq!(command(line), Command::Serve(arguments.clone()), "{line}");
        }
        assert_eq!(command("tabpy"), Command::Serve(Arguments::default()));
    }

    #[test]
    fn the_other_commands() {
        assert_eq!(command("tabpy worker"), Command::Worker);
        let healthcheck = |port, config: Option<&str>| Command::Healthcheck {
            port,
            arguments: Arguments { config: config.map(PathBuf::from), disable_auth_warning: true },
        };
        assert_eq!(command("tabpy healthcheck --port 9"), healthcheck(Some(9), None));
        assert_eq!(command("tabpy --config t.conf healthcheck"), healthcheck(None, Some("t.conf")));
        assert_eq!(command("tabpy healthcheck --config t.conf"), healthcheck(None, Some("t.conf")));
        assert!(!Cli::command().render_help().to_string().contains("worker"));
        assert!(Cli::try_parse_from(["tabpy", "--port", "1"]).is_err());
    }

    #[test]
    fn users_are_named_as_tabpy_names_them() {
        for line in [
            "tabpy-user add -u Ann -p -x -f p.txt",
            "tabpy-user add --user Ann --password -x --pwdfile p.txt",
            "tabpy-user add --username=Ann --password=-x --pwdfile=p.txt",
        ] {
            let Order { action: Action::Add { name, password: PasswordFrom::Given(password) }, file } =
                order(line)
            else {
                panic!("{line}")
            };
            assert_eq!((name.as_str(), password.reveal(), file), ("Ann", "-x", PathBuf::from("p.txt")));
        }
    }

    #[test]
    fn a_password_comes_from_one_place() {
        let from = |flags: &str| match order(&format!("tabpy-user update -u a -f p{flags}")).action {
            Action::Update { password, .. } => password,
            other => panic!("{other:?}"),
        };
        assert!(matches!(from(""), PasswordFrom::Unsaid));
        assert!(matches!(from(" --prompt"), PasswordFrom::Prompt));
        assert!(matches!(from(" --password-stdin"), PasswordFrom::StandardInput));
        assert!(!format!("{:?}", from(" -p s3cret")).contains("s3cret"));
        assert!(
            User::try_parse_from(["tabpy-user", "add", "-u", "a", "-f", "p", "--prompt", "-p", "x"]).is_err()
        );
        assert!(User::try_parse_from(["tabpy-user", "add", "-u", "a"]).is_err());
    }
}
