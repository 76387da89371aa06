//! The stand-in for Tableau's REST API. It knows one site, one administrator, their token, password and
//! connected app, and is strict: a path, header, body or session that the real one would not take is
//! refused and written down as a fault, which fails the test. Sessions count: one that is left open is a
//! fault too. It answers in XML to whoever does not ask for JSON, as the real one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};

use crate::http::{Listening, Reply, Request, serve};

pub(crate) const TOKEN_NAME: &str = "ci token";
pub(crate) const TOKEN_VALUE: &str = "qlE1g9MMh9vbrjjg==:rZTHhPpP2tUW1kfn4tjg8";
pub(crate) const USER: &str = "ann@example.com";
pub(crate) const PASSWORD: &str = "T4bleau\"P@ss word";
pub(crate) const CLIENT_ID: &str = "a1b2c3-client";
pub(crate) const SECRET_ID: &str = "a1b2c3-secret";
pub(crate) const SECRET_VALUE: &str = "vG0B3LQqYzR5k8hTnXw2";
pub(crate) const SITE: &str = "sales";
/// Another site, for who switches; it has a setting and connections of its own in the real one, and shares them here.
pub(crate) const OTHER_SITE: &str = "marketing";
pub(crate) const SITE_ID: &str = "9a8b7c6d-5e4f-3a2b-1c0d-9e8f7a6b5c4d";
pub(crate) const USER_ID: &str = "d5704762-603a-42b2-a9a7-f9cd2b2c4253";
pub(crate) const WORKBOOK: &str = "1a2a3b4b-5c6c-7d8d-9e0e-1f2f3a4a5b6b";
pub(crate) const VERSION: &str = "3.22";

const SETTINGS: &str = "/api/-/settings/site/extensions/analytics";

/// Which of the two forms that are told of it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `connectionList`, the new connection at the top, the media types of the documentation.
    #[default]
    Documented,
    /// `connectionMetadataList`, the new connection in a list, plain JSON and 415 for anything else.
    Other,
    /// As documented, but a POST is answered with nothing that names the connection.
    Silent,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) shape: Shape,
    pub(crate) site_off: bool,
    /// The user signs in, but is no administrator.
    pub(crate) no_administrator: bool,
    /// A password is not enough.
    pub(crate) second_factor: bool,
    /// The session ends after so many calls in it.
    pub(crate) session_ends_after: Option<usize>,
    /// Each call takes so long.
    pub(crate) slow: Duration,
    /// Only calls whose path holds this do.
    pub(crate) slow_path: &'static str,
    /// Every call is led there with this status.
    pub(crate) elsewhere: Option<(u16, String)>,
    /// What every path is answered with instead.
    pub(crate) instead: Option<Reply>,
    /// What the settings are answered with instead.
    pub(crate) settings_instead: Option<Reply>,
    pub(crate) version: Option<&'static str>,
    /// Paths begin with it.
    pub(crate) prefix: &'static str,
    /// Calls of such a path without the prefix are led to it, with this status.
    pub(crate) moved: Option<(u16, &'static str)>,
    /// But for the first one, which is answered with and without the prefix.
    pub(crate) serverinfo_anywhere: bool,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    faults: Vec<String>,
    /// By token: whether it is a connected app's, and the calls in it.
    sessions: BTreeMap<String, (bool, usize)>,
    made: usize,
    enabled: bool,
    /// By luid.
    connections: BTreeMap<String, Value>,
    /// Connection by workbook.
    selected: BTreeMap<String, String>,
}

pub(crate) struct Tableau {
    listening: Listening,
    state: Arc<Mutex<State>>,
    faults_expected: bool,
}

impl Tableau {
    pub(crate) fn start() -> Self {
        Self::that(Behaviour::default())
    }

    pub(crate) fn that(behaviour: Behaviour) -> Self {
        let state = Arc::new(Mutex::new(State { enabled: !behaviour.site_off, ..State::default() }));
        let shared = Arc::clone(&state);
        let listening = serve(move |request| {
            // Written down at once, so that a test knows that it is under way.
            shared.lock().unwrap().requests.push(request.clone());
            if request.path().contains(behaviour.slow_path) {
                std::thread::sleep(behaviour.slow);
            }
            Some(answer(&behaviour, &mut shared.lock().unwrap(), request))
        });
        Self { listening, state, faults_expected: false }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listening.port
    }

    /// As somebody pastes it.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/#/site/{SITE}/home", self.port())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// A connection that somebody made before.
    pub(crate) fn with_connection(self, luid: &str, name: &str, kind: &str) -> Self {
        let item = json!({"host": "old.example.com", "port": 1, "is_auth_enabled": false, "is_ssl_enabled": false,
            "connection_brief": {"connection_name": name, "connection_type": kind}});
        self.state.lock().unwrap().connections.insert(luid.to_owned(), item);
        self
    }

    /// For tests in which somebody else is at fault.
    pub(crate) fn expecting_faults(mut self) -> Self {
        self.faults_expected = true;
        self
    }

    /// Method and target of every request so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.requests.iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().requests.clear();
    }

    pub(crate) fn connections(&self) -> BTreeMap<String, Value> {
        self.state.lock().unwrap().connections.clone()
    }

    pub(crate) fn selected(&self) -> BTreeMap<String, String> {
        self.state.lock().unwrap().selected.clone()
    }

    pub(crate) fn enabled(&self) -> bool {
        self.state.lock().unwrap().enabled
    }

    pub(crate) fn open_sessions(&self) -> usize {
        self.state.lock().unwrap().sessions.len()
    }

    pub(crate) fn sign_ins(&self) -> usize {
        self.state.lock().unwrap().made
    }
}

impl Drop for Tableau {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- calls to Tableau ---\n{}", self.calls().join("\n"));
            return;
        }
        let state = self.state.lock().unwrap();
        if !self.faults_expected {
            assert_eq!(state.faults, [""; 0], "Tableau was spoken to in a wrong way");
            assert!(state.sessions.is_empty(), "a session was left open");
        }
    }
}

fn answer(behaviour: &Behaviour, state: &mut State, request: &Request) -> Reply {
    if let Some((status, base)) = &behaviour.elsewhere {
        return Reply::redirect(*status, &format!("{base}{}", request.target));
    }
    if let Some(reply) = &behaviour.instead {
        return reply.clone();
    }
    if behaviour.serverinfo_anywhere && request.target == "/api/2.4/serverinfo" {
        return server_info(state, request, VERSION);
    }
    let Some(path) = request.path().strip_prefix(behaviour.prefix) else {
        if let Some((status, _)) = behaviour.moved.filter(|(_, path)| request.path().contains(path)) {
            return Reply::redirect(status, &format!("{}{}", behaviour.prefix, request.target));
        }
        return fault(state, request, "a path without the prefix", 404);
    };
    let length = request.header("content-length");
    if matches!(request.method.as_str(), "POST" | "PUT") && length.is_none() {
        return fault(state, request, "a body without its length", 411);
    }
    if matches!(request.method.as_str(), "GET" | "DELETE") && !request.body.is_empty() {
        return fault(state, request, "a body that is not expected", 400);
    }
    let version = behaviour.version.unwrap_or(VERSION);
    // Every version up to its own is answered.
    let classic = path.strip_prefix("/api/").and_then(|path| path.find('/').map(|end| path.split_at(end)));
    let classic = classic.filter(|(asked, _)| number(asked) <= number(version)).map(|(_, path)| path);
    match (request.method.as_str(), classic.unwrap_or(path)) {
        ("GET", "/serverInfo" | "/serverinfo") => server_info(state, request, version),
        ("POST", "/auth/signin") => sign_in(behaviour, state, request),
        ("POST", "/auth/signout") => sign_out(state, request),
        ("POST", "/auth/switchSite") => switch_site(state, request),
        _ => match in_session(behaviour, state, request) {
            Err(refusal) => refusal,
            Ok(()) => match path.strip_prefix(SETTINGS) {
                Some(rest) => match &behaviour.settings_instead {
                    Some(reply) => reply.clone(),
                    None => settings(behaviour, state, request, rest),
                },
                None => workbooks(state, request, classic),
            },
        },
    }
}

/// `3.22` as something that has an order; what is no number is above all.
fn number(version: &str) -> (u32, u32) {
    let numbers = version.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.unwrap_or((u32::MAX, 0))
}

fn server_info(state: &mut State, request: &Request, version: &str) -> Reply {
    if request.header("x-tableau-auth").is_some() && wants_json(request) {
        return fault(state, request, "a session where none is needed", 400);
    }
    if wants_json(request) {
        return Reply::json(
            200,
            &json!({"serverInfo": {"productVersion": {"value": "2024.1.0", "build": "20241.24.0312.1557"},
                "restApiVersion": version}}),
        );
    }
    xml(
        200,
        &format!(
            "<serverInfo><productVersion build=\"20241.24.0312.1557\">2024.1.0</productVersion>\
             <restApiVersion>{version}</restApiVersion></serverInfo>"
        ),
    )
}

fn sign_in(behaviour: &Behaviour, state: &mut State, request: &Request) -> Reply {
    if request.header("x-tableau-auth").is_some() {
        return fault(state, request, "a session at the sign-in", 400);
    }
    let Some(fields) = sign_in_fields(request) else {
        return fault(state, request, "a sign-in in no form that is known", 400);
    };
    let names: Vec<&str> = fields.keys().map(String::as_str).filter(|name| *name != "isUat").collect();
    let app = names == ["contentUrl", "jwt"];
    let right = match names.as_slice() {
        ["contentUrl", "personalAccessTokenName", "personalAccessTokenSecret"] => {
            fields["personalAccessTokenName"] == TOKEN_NAME
                && fields["personalAccessTokenSecret"] == TOKEN_VALUE
        }
        ["contentUrl", "name", "password"] => {
            fields["name"] == USER && fields["password"] == PASSWORD && !behaviour.second_factor
        }
        ["contentUrl", "jwt"] => match token_fault(&fields["jwt"]) {
            None => true,
            Some(what) => return fault(state, request, &what, 401),
        },
        _ => return fault(state, request, "a sign-in with other fields", 400),
    };
    if !right || fields["contentUrl"] != SITE {
        return refused(request, 401, "401001", "Signin Error", "Error signing in to Tableau Cloud");
    }
    // A second sign-in with the same token ends the first session.
    if names.contains(&"personalAccessTokenName") {
        state.sessions.clear();
    }
    state.made += 1;
    let token = format!("HvZMqFFfQQmOM4L-AZNIQA|5fI6T54OPK1Gn1p4w0RtHv6EkojWRTw{}", state.made);
    state.sessions.insert(token.clone(), (app, 0));
    if wants_json(request) {
        return Reply::json(
            200,
            &json!({"credentials": {"site": {"id": SITE_ID, "contentUrl": SITE}, "user": {"id": USER_ID},
                "token": token, "estimatedTimeToExpiration": "177:04:49"}}),
        );
    }
    xml(
        200,
        &format!(
            "<credentials token=\"{token}\"><site id=\"{SITE_ID}\" contentUrl=\"{SITE}\"/><user id=\"{USER_ID}\"/>\
             </credentials>"
        ),
    )
}

/// The fields of a sign-in, in either form; `contentUrl` is the site's.
pub(crate) fn sign_in_fields(request: &Request) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(&request.body).ok()?;
    let kind = request.header("content-type")?;
    if kind == "application/json" {
        let Value::Object(mut whole) = serde_json::from_str(text).ok()? else { return None };
        let Value::Object(mut credentials) = whole.remove("credentials")? else { return None };
        let Value::Object(mut site) = credentials.remove("site")? else { return None };
        let content_url = site.remove("contentUrl")?;
        if !whole.is_empty() || !site.is_empty() {
            return None;
        }
        let mut fields = BTreeMap::from([("contentUrl".to_owned(), content_url.as_str()?.to_owned())]);
        for (name, value) in credentials {
            fields.insert(name, value.as_str()?.to_owned());
        }
        return Some(fields);
    }
    if !kind.starts_with("text/xml") && !kind.starts_with("application/xml") {
        return None;
    }
    let credentials =
        text.strip_prefix("<tsRequest><credentials ")?.split_once("</credentials></tsRequest>")?.0;
    let (own, site) = credentials.split_once("><site ")?;
    let mut fields = attributes(own);
    fields.extend(attributes(site.strip_suffix(" />")?));
    Some(fields)
}

fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        let value = value.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
        fields.insert(name.trim().to_owned(), value);
        rest = after;
    }
    fields
}

/// What Tableau would not take in a connected app's token.
fn token_fault(token: &str) -> Option<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Some("a JWT without three parts".into());
    };
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET_VALUE.as_bytes()).unwrap();
    mac.update(format!("{header}.{claims}").as_bytes());
    let signature = BASE64.decode(signature).ok()?;
    if mac.verify_slice(&signature).is_err() {
        return Some("a JWT with another signature".into());
    }
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64.decode(part).unwrap()).unwrap();
    let (header, mut claims) = (read(header), read(claims));
    if header != json!({"alg": "HS256", "typ": "JWT", "kid": SECRET_ID, "iss": CLIENT_ID}) {
        return Some(format!("a JWT with the header {header}"));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let end = claims["exp"].take().as_u64().unwrap_or_default();
    if end <= now || end > now + 600 {
        return Some("a JWT that lasts too long or is over".into());
    }
    if claims["jti"].take().as_str().is_none_or(|id| id.len() < 16) {
        return Some("a JWT without an id".into());
    }
    let rest = json!({"iss": CLIENT_ID, "sub": USER, "aud": "tableau", "jti": null, "exp": null,
        "scp": ["tableau:content:read"]});
    (claims != rest).then(|| format!("a JWT with the claims {claims}"))
}

fn sign_out(state: &mut State, request: &Request) -> Reply {
    if !request.body.is_empty() {
        return fault(state, request, "a sign-out with a body", 400);
    }
    match request.header("x-tableau-auth").and_then(|token| state.sessions.remove(token)) {
        Some(_) => Reply::empty(204),
        None => refused(request, 401, "401002", "Unauthorized Access", "Invalid authentication credentials"),
    }
}

fn switch_site(state: &mut State, request: &Request) -> Reply {
    if request.header("content-type") != Some("application/json") || !wants_json(request) {
        return fault(state, request, "a change of sites in another form", 400);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if body != json!({"site": {"contentUrl": OTHER_SITE}}) {
        return refused(request, 404, "404000", "Resource Not Found", "Site not found");
    }
    let Some(session) = request.header("x-tableau-auth").and_then(|token| state.sessions.remove(token))
    else {
        return fault(state, request, "a change of sites without a session", 401);
    };
    let token = format!("HvZMqFFfQQmOM4L-other{}", state.made);
    state.sessions.insert(token.clone(), session);
    Reply::json(
        200,
        &json!({"credentials": {"site": {"id": SITE_ID, "contentUrl": OTHER_SITE}, "user": {"id": USER_ID}, "token": token}}),
    )
}

fn in_session(behaviour: &Behaviour, state: &mut State, request: &Request) -> Result<(), Reply> {
    let Some(token) = request.header("x-tableau-auth").map(str::to_owned) else {
        return Err(fault(state, request, "a call without a session", 401));
    };
    let unknown = || settings_refusal(401, "The session is not valid");
    let Some((app, calls)) = state.sessions.get_mut(&token) else { return Err(unknown()) };
    *calls += 1;
    if behaviour.session_ends_after.is_some_and(|limit| *calls > limit) {
        state.sessions.remove(&token);
        return Err(unknown());
    }
    if *app || behaviour.no_administrator {
        return Err(settings_refusal(
            403,
            "Server or site administrator permissions are required for this request.",
        ));
    }
    Ok(())
}

fn settings(behaviour: &Behaviour, state: &mut State, request: &Request, rest: &str) -> Reply {
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", []) => Reply::json(200, &json!({"enabled": state.enabled})),
        ("PUT", []) => match body(behaviour, state, request, "SiteSettings") {
            Err(refusal) => refusal,
            Ok(body) => match body
                .as_object()
                .filter(|body| body.len() == 1)
                .and_then(|body| body["enabled"].as_bool())
            {
                None => fault(state, request, "site settings in another form", 400),
                Some(enabled) => {
                    state.enabled = enabled;
                    Reply::json(200, &json!({"enabled": enabled}))
                }
            },
        },
        ("GET", ["connections"]) => {
            let list: Vec<Value> = state
                .connections
                .iter()
                .map(|(luid, item)| json!({"connection_luid": luid, "connection_brief": item["connection_brief"]}))
                .collect();
            let name =
                if behaviour.shape == Shape::Other { "connectionMetadataList" } else { "connectionList" };
            Reply::json(200, &json!({name: list}))
        }
        ("POST", ["connections"]) => match item(behaviour, state, request) {
            Err(refusal) => refusal,
            Ok(item) => {
                let luid = format!("ba5da1b3-0000-4000-8000-{:012}", state.connections.len() + 1);
                state.connections.insert(luid.clone(), item.clone());
                let made = with_luid(&luid, item);
                Reply::json(
                    201,
                    &match behaviour.shape {
                        Shape::Documented => made,
                        Shape::Other => json!({"connectionMetadataList": [made]}),
                        Shape::Silent => json!({}),
                    },
                )
            }
        },
        ("GET", ["connections", luid]) => match state.connections.get(*luid) {
            Some(item) => Reply::json(200, &with_luid(luid, item.clone())),
            None => settings_refusal(404, "The connection does not exist."),
        },
        ("PUT", ["connections", luid]) => match item(behaviour, state, request) {
            Err(refusal) => refusal,
            Ok(_) if !state.connections.contains_key(*luid) => {
                settings_refusal(404, "The connection does not exist.")
            }
            Ok(item) => {
                state.connections.insert((*luid).to_owned(), item.clone());
                Reply::json(200, &with_luid(luid, item))
            }
        },
        ("DELETE", ["connections", luid]) => match state.connections.remove(*luid) {
            Some(_) => Reply::empty(204),
            None => settings_refusal(404, "The connection does not exist."),
        },
        ("PUT", ["workbooks", workbook, "selected_connection"]) => {
            match body(behaviour, state, request, "ConnectionMapping") {
                Err(refusal) => refusal,
                Ok(body) => {
                    let connection = body["connection_luid"].as_str().unwrap_or_default().to_owned();
                    let known = state.connections.contains_key(&connection);
                    if body != json!({"workbook_luid": workbook, "connection_luid": connection}) || !known {
                        return fault(state, request, "a mapping in another form", 400);
                    }
                    state.selected.insert((*workbook).to_owned(), connection);
                    Reply::json(200, &body)
                }
            }
        }
        ("DELETE", ["workbooks", workbook, "selected_connection"]) => {
            state.selected.remove(*workbook);
            Reply::empty(204)
        }
        _ => fault(state, request, "a path or method that Tableau does not have", 404),
    }
}

/// A connection that Tableau would take.
fn item(behaviour: &Behaviour, state: &mut State, request: &Request) -> Result<Value, Reply> {
    let item = body(behaviour, state, request, "ConnectionItem")?;
    let empty = Map::new();
    let members = item.as_object().unwrap_or(&empty);
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    let authenticated = item["is_auth_enabled"] == true;
    let expected: &[&str] = match authenticated {
        true => {
            &["connection_brief", "host", "is_auth_enabled", "is_ssl_enabled", "password", "port", "username"]
        }
        false => &["connection_brief", "host", "is_auth_enabled", "is_ssl_enabled", "port"],
    };
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let brief = &item["connection_brief"];
    let right = sorted == expected
        && item["host"].as_str().is_some_and(|host| !host.is_empty() && !host.contains("://"))
        && item["port"].is_u64()
        && item["is_ssl_enabled"].is_boolean()
        && brief.as_object().is_some_and(|brief| brief.len() == 2)
        && brief["connection_name"].is_string()
        && brief["connection_type"] == "TABPY";
    if right { Ok(item) } else { Err(fault(state, request, "a connection in another form", 400)) }
}

fn body(behaviour: &Behaviour, state: &mut State, request: &Request, media: &str) -> Result<Value, Reply> {
    let kind = request.header("content-type").unwrap_or_default();
    let documented = format!("application/vnd.tableau.analyticsextensions.v1.{media}+json");
    let expected = if behaviour.shape == Shape::Other { "application/json" } else { documented.as_str() };
    if kind != expected {
        if kind != documented && kind != "application/json" {
            return Err(fault(state, request, &format!("the media type {kind:?}"), 415));
        }
        return Err(Reply::json(415, &json!({"httpErrorCode": 415, "message": "Unsupported Media Type"})));
    }
    serde_json::from_slice(&request.body).map_err(|_| fault(state, request, "a body that is no JSON", 400))
}

fn workbooks(state: &mut State, request: &Request, classic: Option<&str>) -> Reply {
    if request.method != "GET"
        || classic != Some(&format!("/sites/{SITE_ID}/workbooks"))
        || !wants_json(request)
    {
        return fault(state, request, "a path or method that Tableau does not have", 404);
    }
    let all = [
        (WORKBOOK, "Sales & Profit", "Finance"),
        ("22222222-0000-4000-8000-000000000002", "Twice", "Finance"),
        ("22222222-0000-4000-8000-000000000003", "Twice", "Default"),
    ];
    let filter = request.query().split('&').find_map(|pair| pair.strip_prefix("filter="));
    let wanted = filter.map(|filter| decoded(filter).strip_prefix("name:eq:").unwrap().to_owned());
    let found: Vec<Value> = all
        .iter()
        .filter(|(_, name, _)| wanted.as_ref().is_none_or(|wanted| wanted == name))
        .map(|(id, name, project)| json!({"id": id, "name": name, "project": {"name": project}}))
        .collect();
    let workbooks = if found.is_empty() { json!({}) } else { json!({"workbook": found}) };
    Reply::json(
        200,
        &json!({"pagination": {"totalAvailable": found.len().to_string()}, "workbooks": workbooks}),
    )
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            assert_ne!(bytes[at], b'+', "a space as a plus");
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

fn with_luid(luid: &str, mut item: Value) -> Value {
    // Tableau never gives a password back.
    item.as_object_mut().unwrap().remove("password");
    item["connection_luid"] = json!(luid);
    item
}

fn wants_json(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.contains("application/json"))
}

fn fault(state: &mut State, request: &Request, what: &str, status: u16) -> Reply {
    state.faults.push(format!("{what}: {} {}", request.method, request.target));
    settings_refusal(status, what)
}

fn settings_refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"httpErrorCode": status, "message": message}))
}

fn refused(request: &Request, status: u16, code: &str, summary: &str, detail: &str) -> Reply {
    if wants_json(request) {
        return Reply::json(status, &json!({"error": {"summary": summary, "detail": detail, "code": code}}));
    }
    xml(
        status,
        &format!("<error code=\"{code}\"><summary>{summary}</summary><detail>{detail}</detail></error>"),
    )
}

fn xml(status: u16, inner: &str) -> Reply {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns=\"http://tableau.com/api\">{inner}</tsResponse>"
    );
    Reply::new(status, "application/xml", body)
}
