//! Who is asking: nobody, the App by JWT, an installation by token, or a person by a token of their own. Refuses as GitHub refuses.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde_json::Value;

use super::answer::Answer;
use super::state::{Permissions, State};
use super::{APP_ID, CLIENT_ID, Credential, TokenFormat, World};

/// A JWT may end at most ten minutes after GitHub's now.
const LONGEST_JWT: i64 = 600;

/// The credential of a REST request. A bad one is refused here, whatever the route.
pub(crate) fn identify(world: &World, state: &State, headers: &HeaderMap) -> Result<Credential, Answer> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Credential::None) };
    let value = value.to_str().map_err(|_| Answer::bad_credentials())?;
    let (scheme, secret) = value.split_once(' ').ok_or_else(Answer::bad_credentials)?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" if secret.starts_with("ey") => jwt(world, secret),
        "bearer" | "token" => of_token(world, state, secret),
        "basic" => of_token(world, state, &password(secret).ok_or_else(Answer::bad_credentials)?),
        _ => Err(Answer::bad_credentials()),
    }
}

fn jwt(world: &World, text: &str) -> Result<Credential, Answer> {
    let no = |message: &str| Err(Answer::refuse(401, message));
    let Some(claims) = world.key.claims(text) else { return no("A JSON web token could not be decoded") };
    let now = world.clock.now() as i64;
    let Some(exp) = claims["exp"].as_i64() else {
        return no("Missing 'expiration time' claim ('exp') in assertion");
    };
    if exp > now + LONGEST_JWT {
        return no("'Expiration time' claim ('exp') is too far in the future");
    }
    if exp <= now {
        return no(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the \
                   assertion expires",
        );
    }
    if claims["iat"].as_i64().is_none_or(|iat| iat > now) {
        return no("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
    }
    let ours = match &claims["iss"] {
        Value::String(iss) => iss == CLIENT_ID || *iss == APP_ID.to_string(),
        Value::Number(iss) => iss.as_u64() == Some(APP_ID),
        _ => false,
    };
    if ours { Ok(Credential::Jwt) } else { no("Integration not found") }
}

/// The credential behind a token, if it lives.
pub(crate) fn of_token(world: &World, state: &State, text: &str) -> Result<Credential, Answer> {
    if let Some(token) = state.personal_tokens.get(text) {
        return Ok(Credential::Person {
            id: token.person,
            permissions: token.permissions.clone(),
            repository_ids: token.repositories.clone(),
        });
    }
    let token = state.tokens.get(text).ok_or_else(Answer::bad_credentials)?;
    if token.expires_at <= world.clock.now() || state.installation.gone {
        return Err(Answer::bad_credentials());
    }
    if state.installation.suspended_at.is_some() {
        return Err(Answer::refuse(403, "This installation has been suspended"));
    }
    Ok(Credential::Installation {
        id: token.serial,
        permissions: token.permissions.clone(),
        repository_ids: token.repositories.clone(),
    })
}

/// The password of `Basic` credentials, which is where git puts the token.
pub(crate) fn password(basic: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

/// Whether these permissions include `name` at `level`; write includes read, admin both.
pub(crate) fn allows(permissions: &Permissions, name: &str, level: &str) -> bool {
    let rank = |level: &str| match level {
        "read" => 1,
        "write" => 2,
        "admin" => 3,
        _ => 0,
    };
    permissions.get(name).is_some_and(|has| rank(has) >= rank(level))
}

/// A new token's text. The dots and the length of the long form break code that expects 40 characters.
pub(crate) fn token_text(format: TokenFormat) -> String {
    let random = |bytes: usize| -> Vec<u8> {
        std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes()).flatten().take(bytes).collect()
    };
    match format {
        TokenFormat::Short => format!("ghs_{}", &hex::encode(random(18))),
        TokenFormat::Long => {
            let part = |bytes| URL_SAFE_NO_PAD.encode(random(bytes));
            format!("ghs_{APP_ID}_{}.{}.{}", part(40), part(264), part(64))
        }
    }
}
