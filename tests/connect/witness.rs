//! Tableau's own Python client signs in to the same stand-in as `connect` does, in all three ways, and
//! what the two send is compared field by field. That they differ in form (XML, JSON) is known; that
//! they mean the same is what counts.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

use crate::command::Run;
use crate::http::Request;
use crate::tableau::{
    CLIENT_ID, PASSWORD, SECRET_ID, SECRET_VALUE, SITE, TOKEN_NAME, TOKEN_VALUE, Tableau, USER, VERSION,
    sign_in_fields,
};

/// Signs in and out in the way that is asked for.
const SCRIPT: &str = r#"
import base64, hashlib, hmac, json, sys, time, uuid
import tableauserverclient as client

way, url, site, given = json.load(sys.stdin)
if way == "token":
    who = client.PersonalAccessTokenAuth(given["name"], given["value"], site_id=site)
elif way == "password":
    who = client.TableauAuth(given["name"], given["password"], site_id=site)
else:
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    header = {"alg": "HS256", "typ": "JWT", "kid": given["secret_id"], "iss": given["client_id"]}
    claims = {"iss": given["client_id"], "sub": given["user"], "aud": "tableau", "jti": str(uuid.uuid4()),
              "exp": int(time.time()) + 300, "scp": ["tableau:content:read"]}
    signed = part(header) + b"." + part(claims)
    signature = hmac.new(given["secret"].encode(), signed, hashlib.sha256).digest()
    who = client.JWTAuth((signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode(), site_id=site)
server = client.Server(url, use_server_version=True)
with server.auth.sign_in(who):
    print(json.dumps([server.site_id, server.user_id, server.version]))
"#;

fn witness(way: &str, tableau: &Tableau, given: &Value) -> Vec<Request> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tableau/bin/python");
    assert!(python.exists(), "{} is missing: make test creates it", python.display());
    let mut command = Command::new(python);
    command.args(["-I", "-c", SCRIPT]).env_clear();
    let input = serde_json::json!([way, tableau.url(), SITE, given]).to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    std::fs::write(&file, input).unwrap();
    tableau.forget();
    let output = command.stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, serde_json::json!([crate::tableau::SITE_ID, crate::tableau::USER_ID, VERSION]));
    tableau.requests()
}

fn ours(tableau: &Tableau, run: Run) -> Vec<Request> {
    tableau.forget();
    run.ends_with(0);
    tableau.requests()
}

fn find<'a>(requests: &'a [Request], what: &str) -> &'a Request {
    let mut found = requests.iter().filter(|request| request.path().ends_with(what));
    let one = found.next().unwrap_or_else(|| panic!("no {what}"));
    assert!(found.next().is_none(), "two {what}");
    one
}

/// Header and claims of a JWT; id and end differ each time, but not by kind.
fn opened(token: &str) -> Vec<Value> {
    let parts = token.split('.').take(2);
    parts
        .map(|part| {
            let mut value: Value = serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap();
            if let Some(id) = value.get_mut("jti") {
                *id = Value::from(id.is_string());
            }
            if let Some(end) = value.get_mut("exp") {
                *end = Value::from(end.is_u64());
            }
            value
        })
        .collect()
}

#[test]
fn what_is_sent_is_what_tableau_s_own_client_sends() {
    let tableau = Tableau::start();
    let run = || {
        Run::new(&[
            "connect",
            "--check",
            "--skip-checks",
            "--tableau",
            &tableau.address(),
            "https://t.example",
        ])
        .login()
    };
    let ways = [
        ("token", serde_json::json!({"name": TOKEN_NAME, "value": TOKEN_VALUE}), run().token()),
        ("password", serde_json::json!({"name": USER, "password": PASSWORD}), run().password()),
        (
            "app",
            serde_json::json!({"client_id": CLIENT_ID, "secret_id": SECRET_ID, "secret": SECRET_VALUE, "user": USER}),
            run().app(),
        ),
    ];
    for (way, given, run) in ways {
        let theirs = witness(way, &tableau, &given);
        let ours = ours(&tableau, run);

        let (their_in, our_in) = (find(&theirs, "/auth/signin"), find(&ours, "/auth/signin"));
        assert_eq!(our_in.method, their_in.method);
        assert_eq!(our_in.header("x-tableau-auth"), their_in.header("x-tableau-auth"));
        let (mut their_fields, mut our_fields) =
            (sign_in_fields(their_in).unwrap(), sign_in_fields(our_in).unwrap());
        if way == "app" {
            // Says what is the case without it: this is no token of the unified kind.
            assert_eq!(their_fields.remove("isUat").as_deref(), Some("false"));
            let (their_token, our_token) =
                (their_fields.remove("jwt").unwrap(), our_fields.remove("jwt").unwrap());
            assert_eq!(opened(&our_token), opened(&their_token));
        }
        assert_eq!(our_fields, their_fields, "{way}");

        let (their_out, our_out) = (find(&theirs, "/auth/signout"), find(&ours, "/auth/signout"));
        assert_eq!(our_out.method, their_out.method);
        assert_eq!(our_out.target, format!("/api/{VERSION}/auth/signout"));
        assert_eq!(our_out.target, their_out.target);
        assert_eq!(our_out.body, their_out.body);
        let length = |request: &Request| request.header("x-tableau-auth").map(str::len);
        assert_eq!(length(our_out), length(their_out));
    }
}
