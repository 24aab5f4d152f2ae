//! Deliveries as GitHub sends them: a real payload of 14 KB, signed once; only the GUID in the header changes.

use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use simulator::GitHub;
use uuid::Uuid;

/// The repository on the simulated GitHub that deliveries speak of.
pub const REPOSITORY: &str = "octo/app";

/// A signed HTTP request.
#[derive(Clone)]
pub struct Request {
    bytes: Vec<u8>,
    guid_at: usize,
}

impl Request {
    /// `POST /webhooks/github` with this payload.
    pub fn new(secret: &str, payload: &Value) -> Self {
        let body = serde_json::to_vec(payload).unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&body);
        let signature = hex::encode(mac.finalize().into_bytes());
        let before = "POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\nX-GitHub-Delivery: ";
        let after = format!(
            "\r\nX-GitHub-Event: issue_comment\r\nContent-Type: application/json\r\nUser-Agent: GitHub-Hookshot/a1b2c3d\r\n\
             X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut bytes = format!("{before}{}{after}", "0".repeat(36)).into_bytes();
        bytes.extend(body);
        Self { bytes, guid_at: before.len() }
    }

    /// The request under a GUID that was never used.
    pub fn fresh(&mut self) -> &[u8] {
        let guid = &mut self.bytes[self.guid_at..self.guid_at + 36];
        guid_as_github_makes_it().hyphenated().encode_lower(guid);
        &self.bytes
    }
}

/// Version 1, by the time, as in `72d3162e-cc78-11e3-81ab-4c9367dc0958` of GitHub's documentation.
pub fn guid_as_github_makes_it() -> Uuid {
    static LAST: Mutex<u64> = Mutex::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ticks = {
        let mut last = LAST.lock().unwrap();
        *last = (0x01B2_1DD2_1381_4000 + (since.as_nanos() / 100) as u64).max(*last + 1);
        *last
    };
    let hour = 0x1000 | (ticks >> 48) as u16;
    Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, hour, &[0x81, 0xab, 0x4c, 0x93, 0x67, 0xdc, 0x09, 0x58])
}

/// A comment on an issue, 14 KB, by `who`, saying `text`.
pub fn comment(github: &GitHub, who: &str, text: &str) -> Value {
    let mut it = example();
    it["comment"]["body"] = json!(text);
    it["comment"]["user"]["login"] = json!(who);
    it["sender"]["login"] = json!(who);
    let id = json!(github.person(who, simulator::Role::Read));
    it["comment"]["user"]["id"] = id.clone();
    it["sender"]["id"] = id;
    it["repository"]["id"] = json!(github.repo_id(REPOSITORY));
    it["repository"]["full_name"] = json!(REPOSITORY);
    it["repository"]["default_branch"] = json!("main");
    it["issue"]["number"] = json!(1);
    it["installation"]["id"] = json!(github.installation_id());
    it
}

/// The longest `issue_comment.created` among Octokit's examples.
fn example() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".cache/npm/node_modules/@octokit/webhooks-examples/api.github.com/index.json");
    let text = std::fs::read(&path).expect("Octokit's examples are not there: run script/setup");
    let all: Value = serde_json::from_slice(&text).unwrap();
    let kind = all.as_array().unwrap().iter().find(|it| it["name"] == "issue_comment").unwrap();
    let created = kind["examples"].as_array().unwrap().iter().filter(|it| it["action"] == "created");
    created.max_by_key(|it| it.to_string().len()).unwrap().clone()
}
