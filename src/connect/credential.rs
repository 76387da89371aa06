//! As whom one signs in to Tableau: a personal access token, a user's password, or a connected app. Which
//! of them was given is decided here, and what each is in the body of a sign-in.

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::jwt::{self, App};
use crate::credentials::Secret;
use crate::given::Given;

#[derive(Debug, Clone)]
pub(super) enum Credential {
    Token { name: String, value: Secret },
    Password { name: String, password: Secret },
    App(App),
}

impl Credential {
    /// A token goes before a password, and a password before an app: an app may sign in, but not register.
    pub(super) fn choose(given: &Given) -> anyhow::Result<Self> {
        let has = |names: &[&str]| names.iter().any(|name| given.text(name).is_some());
        if has(&["TABLEAU_TOKEN_NAME", "TABLEAU_TOKEN_VALUE"]) {
            return Self::token(given);
        }
        if has(&["TABLEAU_APP_CLIENT_ID", "TABLEAU_APP_SECRET_ID", "TABLEAU_APP_SECRET_VALUE"])
            && !has(&["TABLEAU_PASSWORD"])
        {
            return Ok(Self::App(App {
                client_id: given.text_or_ask("TABLEAU_APP_CLIENT_ID", "Client id of the connected app")?,
                secret_id: given.text_or_ask("TABLEAU_APP_SECRET_ID", "Id of its secret")?,
                secret: given.secret_or_ask("TABLEAU_APP_SECRET_VALUE", "Value of its secret")?,
                user: given.text_or_ask("TABLEAU_USERNAME", "Tableau user")?,
            }));
        }
        if has(&["TABLEAU_USERNAME", "TABLEAU_PASSWORD"]) {
            let name = given.text_or_ask("TABLEAU_USERNAME", "Tableau user")?;
            let password = given.secret_or_ask("TABLEAU_PASSWORD", &format!("Tableau password of {name}"))?;
            return Ok(Self::Password { name, password });
        }
        if !given.terminal() {
            bail!(
                "nothing says as whom to sign in to Tableau: set TABLEAU_TOKEN_NAME and TABLEAU_TOKEN_VALUE (a personal \
                 access token), or TABLEAU_USERNAME and TABLEAU_PASSWORD"
            );
        }
        Self::token(given)
    }

    fn token(given: &Given) -> anyhow::Result<Self> {
        let name = given.text_or_ask("TABLEAU_TOKEN_NAME", "Name of the personal access token")?;
        let value = given.secret_or_ask("TABLEAU_TOKEN_VALUE", &format!("Value of the token {name}"))?;
        Ok(Self::Token { name, value })
    }

    /// The body of a sign-in. A connected app's token is a new one each time.
    pub(super) fn body(&self, site: &str) -> anyhow::Result<Value> {
        let mut body = match self {
            Self::Token { name, value } => {
                json!({"personalAccessTokenName": name, "personalAccessTokenSecret": value.reveal()})
            }
            Self::Password { name, password } => json!({"name": name, "password": password.reveal()}),
            Self::App(app) => json!({"jwt": jwt::token(app)?.reveal()}),
        };
        if let Some(members) = body.as_object_mut() {
            members.insert("site".to_owned(), json!({"contentUrl": site}));
        }
        Ok(Value::Object(Map::from_iter([("credentials".to_owned(), body)])))
    }

    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Token { value, .. } => value,
            Self::Password { password, .. } => password,
            Self::App(app) => &app.secret,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Token { name, .. } => format!("the personal access token {name}"),
            Self::Password { name, .. } => format!("the password of {name}"),
            Self::App(app) => format!("the connected app {} for {}", app.client_id, app.user),
        }
    }
}
