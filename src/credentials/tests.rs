//! Headers put to users as a server would.

use std::path::Path;
use std::time::Duration;

use base64::prelude::BASE64_STANDARD;

use super::*;

fn header(text: &str) -> Vec<u8> {
    format!("Basic {}", BASE64_STANDARD.encode(text)).into_bytes()
}

fn line(name: &str, password: &str) -> String {
    format!("{name} {}\n", PasswordHash::of(&UserName::as_found(name), password.as_bytes()).to_hex())
}

fn user(name: &str, password: &str) -> (UserName, PasswordHash) {
    let name = UserName::new(name).unwrap();
    let hash = PasswordHash::of(&name, password.as_bytes());
    (name, hash)
}

fn with_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passwords.txt");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Replaces the file as an editor does, so that its stamp differs whatever the clock's grain.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn verified(name: &str) -> Verdict {
    Verdict::Verified(name.into())
}

#[tokio::test]
async fn a_header_is_verified_once_and_then_known() {
    let (_folder, path) = with_file(&line("Ann", "a:b é"));
    let credentials = Credentials::load(Some(path), None).unwrap();
    let right = header("ANN:a:b é");
    assert_eq!(credentials.seen(&right), None);
    assert_eq!(credentials.verify(&right).await, verified("ann"));
    assert_eq!(credentials.seen(&right).as_deref(), Some("ann"));
    for wrong in ["ann:a:b", "ann:", "bob:a:b é", "ann", ":a:b é"] {
        assert_eq!(credentials.verify(&header(wrong)).await, Verdict::Rejected, "{wrong}");
        assert_eq!(credentials.seen(&header(wrong)), None);
    }
}

#[tokio::test]
async fn headers_come_in_many_spellings() {
    let credentials = Credentials::load(None, Some(user("ann", "p"))).unwrap();
    for right in ["Basic YW5uOnA=", "bAsIc YW5uOnA=", "Basic   YW5uOnA=  "] {
        assert_eq!(credentials.verify(right.as_bytes()).await, verified("ann"), "{right}");
    }
    for wrong in [
        "",
        "Basic",
        "Basic ",
        "BasicYW5uOnA=",
        "Bearer YW5uOnA=",
        "Basic YW5uOnA=,x",
        "Basic YW5uOnA",
        "Basic _w==",
        "Basic /w==",
    ] {
        assert_eq!(credentials.verify(wrong.as_bytes()).await, Verdict::Rejected, "{wrong}");
    }
}

#[tokio::test]
async fn the_environment_s_user_hides_the_file_s() {
    let (_folder, path) = with_file(&(line("ann", "file") + &line("bob", "file")));
    let credentials = Credentials::load(Some(path), Some(user("Ann", "environment"))).unwrap();
    assert_eq!(credentials.verify(&header("ann:environment")).await, verified("ann"));
    assert_eq!(credentials.verify(&header("ann:file")).await, Verdict::Rejected);
    assert_eq!(credentials.verify(&header("bob:file")).await, verified("bob"));
}

#[tokio::test]
async fn a_changed_file_changes_who_is_let_in_and_a_broken_one_does_not() {
    let (_folder, path) = with_file(&line("ann", "old"));
    let credentials = Credentials::load(Some(path.clone()), Some(user("root", "r"))).unwrap();
    let (old, new) = (header("ann:old"), header("ann:new"));
    assert_eq!(credentials.verify(&old).await, verified("ann"));
    credentials.reload_if_changed();
    assert!(credentials.seen(&old).is_some());

    for broken in ["ann\n", "", "# nobody\n"] {
        replace(&path, broken);
        credentials.reload_if_changed();
        assert!(credentials.seen(&old).is_some(), "{broken:?}");
    }
    replace(&path, &line("ann", "new"));
    credentials.reload_if_changed();
    assert_eq!(credentials.seen(&old), None);
    assert_eq!(credentials.verify(&old).await, Verdict::Rejected);
    assert_eq!(credentials.verify(&new).await, verified("ann"));
    assert_eq!(credentials.verify(&header("root:r")).await, verified("root"));
}

#[tokio::test]
async fn a_user_whose_hash_is_none_exists_and_cannot_sign_in() {
    let (_folder, path) = with_file("ann plain\n");
    let credentials = Credentials::load(Some(path), None).unwrap();
    assert_eq!(credentials.verify(&header("ann:plain")).await, Verdict::Rejected);
}

#[tokio::test]
async fn a_crowd_of_guesses_is_bounded_and_leaves_room_behind() {
    let credentials = Arc::new(Credentials::load(None, Some(user("ann", "p"))).unwrap());
    // As if every thread were at work.
    let threads = u32::try_from(credentials.threads.available_permits()).unwrap();
    let all = Arc::clone(&credentials.threads).acquire_many_owned(threads).await.unwrap();
    let guesses: Vec<_> = (0..MOST_WAITING)
        .map(|number| {
            let credentials = Arc::clone(&credentials);
            tokio::spawn(async move { credentials.verify(&header(&format!("ann:{number}"))).await })
        })
        .collect();
    let all_wait = async {
        while credentials.waiting.load(Ordering::Relaxed) < MOST_WAITING {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), all_wait).await.unwrap();
    assert_eq!(credentials.verify(&header("ann:one more")).await, Verdict::Busy);
    // Those whose clients go away leave their places.
    for guess in guesses {
        guess.abort();
        assert!(guess.await.unwrap_err().is_cancelled());
    }
    assert_eq!(credentials.waiting.load(Ordering::Relaxed), 0);
    drop(all);
    assert_eq!(credentials.verify(&header("ann:p")).await, verified("ann"));
}

#[test]
fn without_a_usable_file_nothing_starts() {
    let error = Credentials::load(Some(PathBuf::from("/gone/p.txt")), None).err().unwrap().to_string();
    assert!(error.contains("/gone/p.txt") && error.contains("tabpy-user add"), "{error}");
}
