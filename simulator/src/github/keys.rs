//! The App's RSA key, made once per process because it takes a while, and the check of JWTs signed with it.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

/// Where the PKCS#1 key starts inside the PKCS#8 wrapping of a 2048-bit key: version, algorithm and two length
/// prefixes come first, all of fixed size.
const PKCS1_START: usize = 26;

#[derive(Debug)]
pub(crate) struct AppKey {
    /// `-----BEGIN RSA PRIVATE KEY-----`, the form GitHub gives out.
    pub pem: String,
    public: Vec<u8>,
}

impl AppKey {
    pub fn of_this_process() -> &'static Self {
        static KEY: OnceLock<AppKey> = OnceLock::new();
        KEY.get_or_init(|| {
            let pair = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
            let wrapped = AsDer::<Pkcs8V1Der>::as_der(&pair).expect("a PKCS#8 key");
            let text = STANDARD.encode(&wrapped.as_ref()[PKCS1_START..]);
            let lines: Vec<&str> = text.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).unwrap()).collect();
            let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"));
            AppKey { pem, public: pair.public_key().as_ref().to_vec() }
        })
    }

    /// The claims of a JWT if this key signed it with RS256; times are for the caller to judge, by its own clock.
    pub fn claims(&self, jwt: &str) -> Option<Value> {
        let mut check = Validation::new(Algorithm::RS256);
        check.validate_exp = false;
        check.validate_aud = false;
        check.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(jwt, &DecodingKey::from_rsa_der(&self.public), &check).ok().map(|it| it.claims)
    }
}
