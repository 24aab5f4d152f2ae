//! The signature of a delivery: HMAC-SHA256 over the raw bytes, against every secret in force.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// Whether `header` (`X-Hub-Signature-256`) signs `body` with one of the secrets. The comparison takes the same time
/// wherever it fails; SHA-1 is never taken instead.
pub fn is_signed(secrets: &[SecretString], body: &[u8], header: &str) -> bool {
    // GitHub sends lower-case hex; anything else is not GitHub.
    let Some(claimed) = header.strip_prefix("sha256=").filter(|hex| !hex.bytes().any(|b| b.is_ascii_uppercase()))
    else {
        return false;
    };
    let Ok(claimed) = hex::decode(claimed) else {
        return false;
    };
    secrets.iter().any(|secret| {
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .is_ok_and(|mac| mac.chain_update(body).verify_slice(&claimed).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of GitHub's documentation ("Validating webhook deliveries").
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn check(header: &str, body: &str, expected: bool) {
        let secrets = ["an old one", "It's a Secret to Everybody"].map(SecretString::from);
        assert_eq!(is_signed(&secrets, body.as_bytes(), header), expected, "{header} {body}");
    }

    #[test]
    fn only_the_documented_form_is_taken() {
        check(SIGNED, "Hello, World!", true);
        check(SIGNED, "Hello, World", false);
        check(&SIGNED.replace("sha256=", ""), "Hello, World!", false);
        check(&SIGNED.replace("sha256=", "sha1="), "Hello, World!", false);
        check(&SIGNED[..70], "Hello, World!", false);
        check(&format!("sha256={}", SIGNED[7..].to_uppercase()), "Hello, World!", false);
        check("sha256=zz", "Hello, World!", false);
        check("", "Hello, World!", false);
    }
}
