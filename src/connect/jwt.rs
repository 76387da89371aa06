//! The token by which a connected app signs somebody in: a JWT of a few minutes, signed with the app's
//! secret. Nothing here reads one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::credentials::Secret;

/// Tableau takes ten minutes at most, by its own clock.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// A connected app of the kind "direct trust", and who is to be signed in.
#[derive(Debug, Clone)]
pub(super) struct App {
    pub(super) client_id: String,
    pub(super) secret_id: String,
    pub(super) secret: Secret,
    pub(super) user: String,
}

/// A new token, for one sign-in.
pub(super) fn token(app: &App) -> anyhow::Result<Secret> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    sign(app, &id, SystemTime::now() + LIFE)
}

fn sign(app: &App, id: &str, end: SystemTime) -> anyhow::Result<Secret> {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": app.secret_id, "iss": app.client_id});
    let claims = json!({
        "iss": app.client_id, "sub": app.user, "aud": "tableau", "jti": id,
        "exp": end.duration_since(UNIX_EPOCH)?.as_secs(), "scp": ["tableau:content:read"],
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(app.secret.reveal().as_bytes())?;
    mac.update(signed.as_bytes());
    Ok(Secret::new(format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_implementation_makes_the_same_signature() {
        let app = App {
            client_id: "c".into(),
            secret_id: "k".into(),
            secret: Secret::new("key é".into()),
            user: "ann@example.com".into(),
        };
        let token = sign(&app, "1", UNIX_EPOCH + Duration::from_secs(60)).unwrap();
        let (signed, signature) = token.reveal().rsplit_once('.').unwrap();
        let script = "
import base64, hashlib, hmac, json, sys
signed, key = json.load(sys.stdin)
digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
parts = [json.loads(base64.urlsafe_b64decode(part + '==')) for part in signed.split('.')]
print(json.dumps([base64.urlsafe_b64encode(digest).decode().rstrip('='), parts]))";
        let (expected, parts): (String, Value) = crate::tests::python(script, &(signed, "key é"));
        assert_eq!(signature, expected);
        assert_eq!(
            parts,
            json!([
                {"alg": "HS256", "typ": "JWT", "kid": "k", "iss": "c"},
                {"iss": "c", "sub": "ann@example.com", "aud": "tableau", "jti": "1", "exp": 60,
                 "scp": ["tableau:content:read"]},
            ])
        );
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let app = App {
            client_id: "c".into(),
            secret_id: "k".into(),
            secret: Secret::new("s".into()),
            user: "u".into(),
        };
        assert_ne!(token(&app).unwrap().reveal(), token(&app).unwrap().reveal());
        assert!(!format!("{app:?}").contains("\"s\""));
    }
}
