//! What `tabpy-user` does: users of a password file are added, changed, taken out, listed and tried.
//! A password that the caller gave is never written anywhere but as its hash; one that was made up is
//! shown once. Flags are parsed in `crate::cli`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::edit::{Tightened, edit};
use super::file::{self, Entry};
use super::{PasswordHash, Secret, UserName, made_up, watched};

/// One run of the command.
#[derive(Debug)]
pub struct Order {
    pub action: Action,
    pub file: PathBuf,
}

#[derive(Debug)]
pub enum Action {
    Add { name: String, password: PasswordFrom },
    Update { name: String, password: PasswordFrom },
    Delete { name: String },
    List,
    Verify { name: String, password: PasswordFrom },
}

/// Where the password comes from.
#[derive(Debug)]
pub enum PasswordFrom {
    Given(Secret),
    Prompt,
    StandardInput,
    /// Nobody said: made up, or asked for where one has to be known.
    Unsaid,
}

/// Carries the order out. What the caller should read goes to `out`; an error changes no file.
pub fn run(order: Order, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = order.file.as_path();
    match order.action {
        Action::Add { name, password } => {
            let name = UserName::new(&name).map_err(anyhow::Error::msg)?;
            if path.exists() {
                absent(path, &watched::text(path)?, &name)?;
            }
            let (password, made_up) = new_password(&name, password)?;
            let hash = PasswordHash::of(&name, password.reveal().as_bytes());
            let tightened = edit(path, |text| {
                let text = text.unwrap_or_default();
                absent(path, text, &name)?;
                Ok(Some(file::with_user(text, &name, &hash)))
            })?;
            writeln!(out, "Added the user {name} to {}.", path.display())?;
            note(out, tightened)?;
            show(out, &name, made_up.then_some(&password))
        }
        Action::Update { name, password } => {
            let name = UserName::as_found(&name);
            present(path, &watched::text(path)?, &name)?;
            let (password, made_up) = new_password(&name, password)?;
            let hash = PasswordHash::of(&name, password.reveal().as_bytes());
            let tightened = edit(path, |text| {
                let text = text.unwrap_or_default();
                Ok(Some(file::with_line(text, &present(path, text, &name)?, Some(&hash))))
            })?;
            writeln!(out, "Changed the password of {name} in {}.", path.display())?;
            note(out, tightened)?;
            show(out, &name, made_up.then_some(&password))
        }
        Action::Delete { name } => delete(path, &UserName::as_found(&name), out),
        Action::List => {
            for entry in users(path, &watched::text(path)?)? {
                let note = if entry.hash.is_none() { " (cannot sign in: no valid hash)" } else { "" };
                writeln!(out, "{}{note}", entry.name)?;
            }
            Ok(())
        }
        Action::Verify { name, password } => {
            let name = UserName::as_found(&name);
            let entry = present(path, &watched::text(path)?, &name)?;
            let password = match password {
                PasswordFrom::Given(password) => password,
                PasswordFrom::StandardInput => standard_input()?,
                PasswordFrom::Prompt | PasswordFrom::Unsaid => prompt(&format!("Password for {name}: "))?,
            };
            let given = PasswordHash::of(&name, password.reveal().as_bytes());
            if !entry.hash.is_some_and(|hash| hash.matches(&given)) {
                bail!("this is not the password of {name} in {}", path.display());
            }
            writeln!(out, "This is the password of {name}.")?;
            Ok(())
        }
    }
}

fn delete(path: &Path, name: &UserName, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut left = 0;
    // A file that is not there is told apart from a user that is not in it.
    watched::text(path)?;
    let tightened = edit(path, |text| {
        let text = text.unwrap_or_default();
        let entry = present(path, text, name)?;
        left = users(path, text)?.len() - 1;
        Ok(Some(file::with_line(text, &entry, None)))
    })?;
    writeln!(out, "Took the user {name} out of {}.", path.display())?;
    note(out, tightened)?;
    if left == 0 {
        writeln!(
            out,
            "No user is left in it. A running server keeps the users it knew until it is started again, and it does not \
             start with such a file."
        )?;
    }
    Ok(())
}

fn users(path: &Path, text: &str) -> anyhow::Result<Vec<Entry>> {
    file::entries(text).map_err(|why| anyhow!("the password file {} cannot be used: {why}", path.display()))
}

fn absent(path: &Path, text: &str, name: &UserName) -> anyhow::Result<()> {
    if users(path, text)?.iter().any(|entry| entry.name == *name) {
        bail!("the user {name} is already in {}: use update to change the password", path.display());
    }
    Ok(())
}

fn present(path: &Path, text: &str, name: &UserName) -> anyhow::Result<Entry> {
    let found = users(path, text)?.into_iter().find(|entry| entry.name == *name);
    found.ok_or_else(|| anyhow!("there is no user {name} in {}: use add to make one", path.display()))
}

/// The password, and whether it was made up.
fn new_password(name: &UserName, from: PasswordFrom) -> anyhow::Result<(Secret, bool)> {
    let password = match from {
        PasswordFrom::Unsaid => return Ok((made_up::password()?, true)),
        PasswordFrom::Given(password) => password,
        PasswordFrom::StandardInput => standard_input()?,
        PasswordFrom::Prompt => {
            let password = prompt(&format!("New password for {name}: "))?;
            if prompt("The same again: ")?.reveal() != password.reveal() {
                bail!("the two passwords differ; nothing was changed");
            }
            password
        }
    };
    if password.reveal().is_empty() {
        bail!("the password is empty; nothing was changed");
    }
    Ok((password, false))
}

/// A server that runs as somebody else could read the file until now.
fn note(out: &mut dyn Write, tightened: Option<Tightened>) -> anyhow::Result<()> {
    if let Some(Tightened { mode, owner }) = tightened {
        writeln!(
            out,
            "Others could read the file (mode {mode:o}); now only its owner can, user id {owner}, as whom the server must run."
        )?;
    }
    Ok(())
}

fn show(out: &mut dyn Write, name: &UserName, password: Option<&Secret>) -> anyhow::Result<()> {
    if let Some(password) = password {
        writeln!(
            out,
            "A password was made up and is shown only now. Password of {name}: {}",
            password.reveal()
        )?;
    }
    Ok(())
}

fn prompt(words: &str) -> anyhow::Result<Secret> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on: use --password-stdin");
    }
    Ok(Secret::new(rpassword::prompt_password(words).context("cannot ask for the password")?))
}

/// The first line of standard input.
fn standard_input() -> anyhow::Result<Secret> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(Secret::new(line.trim_end_matches(['\n', '\r']).to_owned()))
}
