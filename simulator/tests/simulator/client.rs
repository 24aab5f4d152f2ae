//! A small GitHub client for the tests, as a bot would write it.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use simulator::GitHub;

pub struct Client {
    pub http: reqwest::Client,
    pub api: String,
    pub token: String,
}

pub fn jwt(github: &GitHub, issued: i64, expires: i64, issuer: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let claims = json!({ "iat": now + issued, "exp": now + expires, "iss": issuer });
    let key = EncodingKey::from_rsa_pem(github.private_key_pem().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

pub fn good_jwt(github: &GitHub) -> String {
    jwt(github, -60, 540, &json!(github.app_id().to_string()))
}

impl Client {
    pub async fn of_installation(github: &GitHub, body: Value) -> Self {
        let mut client = Self::with_token(github, &good_jwt(github));
        let path = format!("/app/installations/{}/access_tokens", github.installation_id());
        let minted = client.send(Method::POST, &path, &body).await;
        assert_eq!(minted.0, 201, "{}", minted.1);
        minted.1["token"].as_str().unwrap().clone_into(&mut client.token);
        client
    }

    pub fn with_token(github: &GitHub, token: &str) -> Self {
        let http = reqwest::Client::builder()
            .user_agent("test")
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self { http, api: github.api_url().to_owned(), token: token.to_owned() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.token)
    }

    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        read(self.request(method, path).json(body).send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &body).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, &json!({})).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &body).await
    }
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
