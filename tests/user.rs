//! `tabpy-user`, run as an administrator or a script runs it.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to stop it")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs the command on a file and hands it `input`.
fn run(arguments: &[&str], file: &Path, input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabpy-user"));
    command.args(arguments).arg("-f").arg(file);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn works(arguments: &[&str], file: &Path) -> String {
    let output = run(arguments, file, "");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", words(&output));
    words(&output)
}

#[track_caller]
fn fails(arguments: &[&str], file: &Path) -> String {
    let output = run(arguments, file, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", words(&output));
    assert!(output.stdout.is_empty());
    words(&output)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords.txt");
    (folder, file)
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// The password that was made up, from what the command said.
fn shown(words: &str) -> String {
    words.lines().last().unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn a_user_is_added_tried_changed_and_taken_out() {
    let (_folder, file) = folder();
    let said = works(&["add", "-u", "Ann", "-p", "first:S3cret"], &file);
    assert!(!said.contains("S3cret"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(read(&file).starts_with("ann "));
    works(&["verify", "-u", "ANN", "-p", "first:S3cret"], &file);

    let said = works(&["update", "--user", "ann", "--password", "-second"], &file);
    assert!(!said.contains("second"), "{said}");
    works(&["verify", "-u", "ann", "-p", "-second"], &file);
    assert!(fails(&["verify", "-u", "ann", "-p", "first:S3cret"], &file).contains("not the password"));

    works(&["add", "--username", "bob", "-p", "x"], &file);
    assert_eq!(works(&["list"], &file), "ann\nbob\n");
    works(&["delete", "-u", "ANN"], &file);
    assert_eq!(works(&["list"], &file), "bob\n");
    assert!(works(&["delete", "-u", "bob"], &file).contains("No user is left"));
}

#[test]
fn comments_order_and_other_lines_stay() {
    let (_folder, file) = folder();
    let before = format!("# staff\n\nann {}\n# guests\n\"Carl B\" aa", "0".repeat(128));
    std::fs::write(&file, &before).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(works(&["add", "-u", "dora", "-p", "x"], &file).contains("mode 640"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let after = read(&file);
    assert!(after.starts_with(&format!("{before}\ndora ")), "{after}");
    works(&["delete", "-u", "dora"], &file);
    works(&["update", "-u", "carl b", "-p", "x"], &file);
    let after = read(&file);
    assert!(after.starts_with(before.strip_suffix("\"Carl B\" aa").unwrap()), "{after}");
    works(&["verify", "-u", "carl b", "-p", "x"], &file);
}

#[test]
fn without_a_password_one_is_made_up_and_shown() {
    let (_folder, file) = folder();
    let first = shown(&works(&["add", "-u", "ann"], &file));
    assert_eq!(first.len(), 16);
    works(&["verify", "-u", "ann", "-p", &first], &file);
    let second = shown(&works(&["update", "-u", "ann"], &file));
    assert_ne!(first, second);
    works(&["verify", "-u", "ann", "-p", &second], &file);
}

#[test]
fn a_password_comes_by_standard_input() {
    let (_folder, file) = folder();
    let output = run(&["add", "-u", "ann", "--password-stdin"], &file, "päss wörd\n");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    works(&["verify", "-u", "ann", "-p", "päss wörd"], &file);
    let output = run(&["verify", "-u", "ann", "--password-stdin"], &file, "päss wörd");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let output = run(&["update", "-u", "ann", "--password-stdin"], &file, "\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("empty"));
    assert!(fails(&["update", "-u", "ann", "--prompt"], &file).contains("--password-stdin"));
}

#[test]
fn what_cannot_be_done_says_so_and_changes_nothing() {
    let (_folder, file) = folder();
    for action in ["update", "delete", "list", "verify"] {
        let user: &[&str] = if action == "list" { &[] } else { &["-u", "ann"] };
        assert!(fails(&[&[action], user].concat(), &file).contains("is not there"), "{action}");
    }
    assert!(!file.exists());
    works(&["add", "-u", "ann", "-p", "x"], &file);
    let before = read(&file);
    assert!(fails(&["add", "-u", "ANN", "-p", "s3cret"], &file).contains("use update"));
    assert!(fails(&["update", "-u", "bob", "-p", "s3cret"], &file).contains("use add"));
    assert!(fails(&["delete", "-u", "bob"], &file).contains("no user bob"));
    for name in ["a:b", "a b", "", "#a"] {
        assert!(fails(&["add", "-u", name, "-p", "s3cret"], &file).contains("user name"), "{name}");
    }
    assert_eq!(read(&file), before);

    std::fs::write(&file, "ann\n").unwrap();
    let said = fails(&["add", "-u", "bob", "-p", "s3cret"], &file);
    assert!(said.contains("line 1") && !said.contains("s3cret"), "{said}");
    assert_eq!(read(&file), "ann\n");
}

#[test]
fn runs_at_the_same_time_lose_nobody() {
    let (_folder, file) = folder();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tabpy-user"));
            command.args(["add", "-u", &format!("user{number}"), "-p", "x", "-f"]).arg(&file);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let listed = works(&["list"], &file);
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    let expected: Vec<String> = (0..8).map(|number| format!("user{number}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn the_example_works() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tabpypwd.txt.example");
    assert_eq!(works(&["list"], &example), "analyst\n");
    works(&["verify", "-u", "analyst", "-p", "Change-This-1"], &example);
}

/// Where a TabPy is installed in `.venv-tabpy`, it reads what was written, and agrees on the hash.
#[test]
fn tabpy_reads_the_file() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    if !python.exists() {
        eprintln!("skipped: there is no TabPy in .venv-tabpy");
        return;
    }
    let (_folder, file) = folder();
    std::fs::write(&file, "# staff\n\n\"Carl B\" aa").unwrap();
    works(&["add", "-u", "Ann.É", "-p", "pä:ss"], &file);
    works(&["update", "-u", "carl b", "-p", "x y"], &file);
    let script = "import sys\n\
        from tabpy.tabpy_server.app.util import parse_pwd_file\n\
        from tabpy.tabpy_server.handlers.util import hash_password\n\
        succeeded, users = parse_pwd_file(sys.argv[1])\n\
        assert succeeded\n\
        assert users == {'carl b': hash_password('carl b', 'x y'), 'ann.é': hash_password('ann.é', 'pä:ss')}, users\n";
    let output = Command::new(&python).args(["-X", "utf8", "-c", script]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
}
