//! What of an answer leads where: the ids that one request gives are those that others ask for. Programs that read the
//! description find their way by it.

use utoipa::openapi::link::Link;
use utoipa::openapi::{HttpMethod, OpenApi, RefOr};

/// Where an id stands, and which operations take it.
struct Leads {
    path: &'static str,
    method: HttpMethod,
    status: &'static str,
    id: &'static str,
    to: &'static [&'static str],
}

const TASK: &[&str] = &["get_task", "get_task_log", "follow_task", "cancel_task", "retry_task", "resume_task"];
const DELIVERY: &[&str] = &["get_delivery", "replay_delivery", "forget_delivery"];

fn all() -> Vec<Leads> {
    let made = |path, status, id, to| Leads { path, method: HttpMethod::Post, status, id, to };
    let listed = |path, id, to| Leads { path, method: HttpMethod::Get, status: "200", id, to };
    vec![
        made("/api/v1/tasks", "202", "/task_id", TASK),
        made("/api/v1/tasks/{id}/retry", "202", "/task_id", TASK),
        made("/api/v1/tasks/{id}/resume", "202", "/task_id", TASK),
        listed("/api/v1/tasks", "/tasks/0/task_id", TASK),
        listed("/api/v1/deliveries", "/deliveries/0/delivery_id", DELIVERY),
        made("/api/v1/deliveries/{id}/replay", "202", "/delivery_id", &DELIVERY[..1]),
        made("/api/v1/admin/api-keys", "201", "/key_id", &["revoke_key"]),
        listed("/api/v1/admin/api-keys", "/api_keys/0/key_id", &["revoke_key"]),
    ]
}

/// Write them into the description.
pub fn lead(mut api: OpenApi) -> OpenApi {
    for it in all() {
        let Some(item) = api.paths.paths.get_mut(it.path) else { continue };
        let operation = match it.method {
            HttpMethod::Post => item.post.as_mut(),
            _ => item.get.as_mut(),
        };
        let Some(RefOr::T(answer)) = operation.and_then(|that| that.responses.responses.get_mut(it.status)) else {
            continue;
        };
        for to in it.to {
            let id = format!("$response.body#{}", it.id);
            let link = Link::builder().operation_id(*to).parameter("id", id).build();
            answer.links.insert((*to).to_owned(), RefOr::T(link));
        }
    }
    api
}
