//! Git over HTTP: the same credentials as REST in front of `git http-backend`.

use std::process::Stdio;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::answer::Answer;
use super::auth::{allows, of_token, password};
use super::git::{GIT, clean_environment};
use super::rest::{fetches, pushes};
use super::{BOT_ID, Credential, World};

/// `/{owner}/{name}.git/{service path}`, also without `.git`; the repository's full name and the rest.
pub(crate) fn route(path: &str) -> Option<(String, &str)> {
    let (owner, rest) = path.trim_start_matches('/').split_once('/')?;
    let (name, rest) = rest.split_once('/')?;
    let served = matches!(rest, "info/refs" | "git-upload-pack" | "git-receive-pack" | "HEAD")
        || rest.starts_with("info/lfs/")
        || rest.starts_with("objects/");
    served.then(|| (format!("{owner}/{}", name.trim_end_matches(".git")), rest))
}

/// Serves one git request that a fault has not stopped. Also says who asked.
pub(crate) async fn serve(
    world: &Arc<World>,
    request: Request<Bytes>,
    full_name: &str,
    rest: &str,
) -> (Response<Body>, Credential) {
    let writes = rest == "git-receive-pack" || request.uri().query().is_some_and(|it| it.contains("git-receive-pack"));
    let (repo, credential) = match admit(world, request.headers(), full_name, writes) {
        Ok(admitted) => admitted,
        Err(refused) => {
            let (refusal, credential) = *refused;
            return (plain(&refusal), credential);
        }
    };
    let before = (rest == "git-receive-pack").then(|| world.bare(repo).branches());
    let by = match &credential {
        Credential::Person { id, .. } => *id,
        _ => BOT_ID,
    };
    let workflows = match &credential {
        Credential::Installation { permissions, .. } | Credential::Person { permissions, .. } => {
            allows(permissions, "workflows", "write")
        }
        _ => false,
    };
    let answer = backend(world, repo, rest, request, workflows).await;
    if let Some(before) = before {
        let world = Arc::clone(world);
        let noticing = tokio::task::spawn_blocking(move || {
            let events = world.branches_moved(&mut world.state(), by, repo, &before);
            world.deliver_later(events);
        });
        noticing.await.unwrap();
    }
    (answer, credential)
}

/// The repository's id if this credential may do this, or github.com's words against it.
fn admit(
    world: &World,
    headers: &HeaderMap,
    full_name: &str,
    writes: bool,
) -> Result<(u64, Credential), Box<(Answer, Credential)>> {
    let state = world.state();
    let text = |status, words: &str| Answer::text(status, "text/plain; charset=utf-8", words.to_owned());
    let challenge = |words: &str| text(401, words).with("www-authenticate", "Basic realm=\"GitHub\"");
    let refuse = |answer| Box::new((answer, Credential::None));
    let repo = state.repo_named(full_name).or_else(|| state.repo_formerly(full_name));
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        // git always asks without credentials first; a private repository does not show that it exists.
        return match repo.filter(|it| !it.private && !writes) {
            Some(public) => Ok((public.id, Credential::None)),
            None => Err(refuse(challenge("Repository not found."))),
        };
    };
    let given = authorization.to_str().ok().and_then(|it| it.strip_prefix("Basic ")).and_then(password);
    let wrong =
        || refuse(challenge("Invalid username or token. Password authentication is not supported for Git operations."));
    let credential = of_token(world, &state, &given.ok_or_else(wrong)?).map_err(|no| {
        if no.status == 403 { refuse(text(403, "This installation has been suspended")) } else { wrong() }
    })?;
    if let Credential::Person { .. } = &credential {
        let found = repo.filter(|it| !it.private || fetches(&state, &credential, it.id)).map(|it| it.id);
        let Some(repo) = found else { return Err(Box::new((text(404, "Repository not found."), credential))) };
        return match writes && !pushes(&state, &credential, repo) {
            true => Err(Box::new((text(403, "Write access to repository not granted."), credential))),
            false => Ok((repo, credential)),
        };
    }
    let Credential::Installation { permissions, repository_ids, .. } = &credential else { return Err(wrong()) };
    let within = |id: u64| repository_ids.as_ref().is_none_or(|ids| ids.contains(&id));
    let granted =
        |level| allows(permissions, "contents", level) && allows(&state.installation.permissions, "contents", level);
    let repo = repo.filter(|it| (it.installed && within(it.id) && granted("read")) || !it.private);
    let Some(repo) = repo.map(|it| it.id) else {
        return Err(Box::new((text(404, "Repository not found."), credential)));
    };
    if writes && !(granted("write") && within(repo) && state.repo(repo).installed) {
        return Err(Box::new((text(403, "Write access to repository not granted."), credential)));
    }
    Ok((repo, credential))
}

/// Runs `git http-backend` as CGI.
async fn backend(world: &World, repo: u64, rest: &str, request: Request<Bytes>, workflows: bool) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    let mut child = Command::new(&*GIT)
        .arg("http-backend")
        .env_clear()
        .envs(clean_environment())
        .env("GIT_PROJECT_ROOT", world.root.path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{repo}.git/{rest}"))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("SIMULATOR_WORKFLOWS", if workflows { "yes" } else { "no" })
        // http-backend takes pushes only from somebody with a name.
        .env("REMOTE_USER", "x-access-token")
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.unwrap();
    // A backend that refuses early leaves the rest of its input unread.
    let _ = feeding.await;
    cgi(output.stdout)
}

/// A CGI program's output as a response.
fn cgi(output: Vec<u8>) -> Response<Body> {
    let Some(split) = output.windows(4).position(|it| it == b"\r\n\r\n") else {
        return plain(&Answer::text(500, "text/plain", "git http-backend said nothing".to_owned()));
    };
    let output = Bytes::from(output);
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|it| it.split_once(": ")) {
        response = match name {
            "Status" => response.status(value.get(..3).and_then(|it| it.parse::<u16>().ok()).unwrap_or(500)),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output.slice(split + 4..))).unwrap()
}

/// The first half of an answer, as if that were all of it.
pub(crate) async fn half(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
}

fn plain(answer: &Answer) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body.clone())).unwrap()
}
