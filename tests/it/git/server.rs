//! A git host on loopback: a token check, faults on demand, then `git http-backend`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt;

pub const TOKEN: &str = "ghs_900001_eeeeeeeeeeeeeeeeeeeeeeeeeeeeee.pppppppppppppppppppppppppppp.ssssssssssssss";

#[derive(Clone)]
pub struct Host {
    pub root: PathBuf,
    pub url: String,
    /// Path and bytes of each request.
    pub seen: Arc<Mutex<Vec<(String, usize)>>>,
    /// Requests whose path holds this never end.
    pub hang: Arc<Mutex<Option<String>>>,
}

impl Host {
    pub async fn start(root: &Path) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let host = Self { root: root.to_owned(), url, seen: Arc::default(), hang: Arc::default() };
        let app = axum::Router::new().fallback(serve).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        host
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<(String, usize)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn serve(State(host): State<Host>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    host.seen.lock().unwrap().push((parts.uri.to_string(), body.len()));
    let path = parts.uri.path();
    let hang = host.hang.lock().unwrap().clone();
    if hang.is_some_and(|hang| path.contains(&hang)) {
        tokio::time::sleep(Duration::from_mins(10)).await;
    }
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{TOKEN}")));
    if parts.headers.get("authorization").is_none_or(|v| v != basic.as_str()) {
        let ask = [("www-authenticate", "Basic realm=\"GitHub\"")];
        return (StatusCode::UNAUTHORIZED, ask, "Invalid username or token.").into_response();
    }
    if path.starts_with("/o/renamed.git") {
        let to = path.replace("renamed", "app");
        return (
            StatusCode::MOVED_PERMANENTLY,
            [("location", format!("{}{to}?{}", host.url, parts.uri.query().unwrap_or("")))],
        )
            .into_response();
    }
    if path.starts_with("/o/readonly.git/git-receive-pack")
        || (path.starts_with("/o/readonly") && parts.uri.query() == Some("service=git-receive-pack"))
    {
        return (StatusCode::FORBIDDEN, "Write access to repository not granted.").into_response();
    }
    if path.starts_with("/o/strict.git") {
        // A server of old: only what a branch or a pull request points to is given by id.
        parts.headers.remove("git-protocol");
    }
    backend(&host, parts.method.as_str(), path, parts.uri.query().unwrap_or(""), &parts.headers, body).await
}

/// The CGI bridge.
async fn backend(host: &Host, method: &str, path: &str, query: &str, headers: &HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").env_clear().env("PATH", std::env::var("PATH").unwrap());
    command.envs(HashMap::from([
        ("GIT_PROJECT_ROOT", host.root.to_str().unwrap()),
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("REMOTE_USER", "x-access-token"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", method),
        ("CONTENT_TYPE", &header("content-type")),
        ("CONTENT_LENGTH", &body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", &header("content-encoding")),
        ("GIT_PROTOCOL", &header("git-protocol")),
    ]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::spawn(async move { stdin.write_all(&body).await });
    let out = child.wait_with_output().await.unwrap().stdout;
    let end = out.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&out[..end]).lines() {
        let (key, value) = line.split_once(": ").unwrap();
        response = match key {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(key, value),
        };
    }
    response.body(Body::from(out[end + 4..].to_vec())).unwrap()
}
