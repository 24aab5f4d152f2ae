//! A history: finished tasks of a year with all that is theirs, made by the database itself.

use cloud_agent::clock;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

/// Rows of each kind for one task.
pub const DELIVERIES: i64 = 2;
pub const EVENTS: i64 = 5;
pub const EFFECTS: i64 = 4;
/// One task in so many is a review, with two findings; one in so many has left a conversation.
pub const REVIEWS: i64 = 4;
pub const SESSIONS: i64 = 10;
/// Tasks made by one statement.
const CHUNK: i64 = 10_000;
/// How far the history goes back. Nothing of it is past its time with the settings that the measurement has.
const YEAR: i64 = 360 * 24 * 3_600_000;

/// Put `tasks` finished tasks into an empty, migrated database.
pub async fn fill(url: &str, tasks: i64) {
    let sqlite = url.starts_with("sqlite");
    let mut raw = AnyConnection::connect(url).await.unwrap();
    if sqlite {
        raw.execute("pragma synchronous = off").await.unwrap();
        raw.execute("pragma cache_size = -200000").await.unwrap();
    } else {
        raw.execute("set synchronous_commit = off").await.unwrap();
    }
    let mut from = 0;
    while from < tasks {
        let to = (from + CHUNK).min(tasks) - 1;
        for sql in statements(sqlite, from, to, tasks) {
            raw.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        from = to + 1;
    }
    // What autovacuum does in the course of a year.
    raw.execute(if sqlite { "pragma wal_checkpoint(truncate)" } else { "vacuum analyze" }).await.unwrap();
    raw.close().await.unwrap();
}

fn statements(sqlite: bool, from: i64, to: i64, tasks: i64) -> Vec<String> {
    let start = clock::now() - YEAR;
    let step = YEAR / tasks;
    let hex = |n: &str| if sqlite { format!("printf('%012x', {n})") } else { format!("lpad(to_hex({n}), 12, '0')") };
    let series = |name: &str, from: i64, to: i64| match sqlite {
        true => format!("{name}(i) as (select {from} union all select i + 1 from {name} where i < {to})"),
        false => format!("{name}(i) as (select generate_series({from}::bigint, {to}::bigint))"),
    };
    let at = |n: &str| format!("({start} + {n} * {step})");
    // As version 7 is laid out: the time, then what tells rows of one moment apart.
    let id = |kind: &str, n: &str| {
        let time = hex(&at(n));
        format!("(substr({time}, 1, 8) || '-' || substr({time}, 9, 4) || '-7000-8{kind}-' || {})", hex(n))
    };
    let (task, made, body) = (
        id("000", "t.i"),
        at("t.i"),
        if sqlite { "randomblob(600)" } else { "decode(repeat('8f3a61c5', 150), 'hex')" },
    );
    let kind = format!("case when t.i % {REVIEWS} = 0 then 'review' else 'issue' end");
    let with = |rows: Option<i64>| {
        let rows = rows.map(|rows| format!(", {}", series("r", 1, rows))).unwrap_or_default();
        format!("with recursive {}{rows}", series("t", from, to))
    };
    let delivery = |n: &str| {
        id("001", &format!("(t.i * {DELIVERIES} + {n})")).replace(&at(&format!("(t.i * {DELIVERIES} + {n})")), &made)
    };
    vec![
        format!(
            "{} insert into delivery (delivery_id, app_id, guid, event, action, installation_id, repository, content_type,
                 body, received_at, state, decision, task_id)
             select {}, 1, {} || '-guid', 'issue_comment', 'created', 7, 'octo/app', 'application/json', {body}, {made},
                 'done', 'made a task', {task} from t, r",
            with(Some(DELIVERIES)), delivery("r.i"), delivery("r.i")
        ),
        format!(
            "{} insert into task (task_id, installation_id, repository_id, repository, number, delivery_id, requester_id,
                 requester, trigger_json, prompt, snapshot, state, progress, ending, spent_micros, turns, created_at,
                 started_at, ended_at, kind, head_sha, origin, pull, check_settled)
             select {task}, 7, t.i % 1000, 'octo/app', t.i / 1000 / 3, {}, 9, 'alice', '{{\"kind\":\"labeled\"}}', 'fix this',
                 '{{\"title\":\"The greeting is short\",\"body\":\"{}\",\"author\":\"alice\",\"labels\":[],\"thread\":[],\"comment\":null,\"base_branch\":\"main\",\"base_sha\":\"1111111111111111111111111111111111111111\"}}',
                 'completed', '{{}}', '{{\"code\":\"pull_request\"}}', 20000, 12, {made}, {made} + 1000, {made} + 60000, {kind},
                 {}, 'comment:' || t.i, t.i, 1 from t",
            with(None), delivery("1"), "what somebody wrote into an issue. ".repeat(20), hex("t.i * 7919")
        ),
        format!(
            "{} insert into task_event (task_id, seq, at, kind, body)
             select {task}, r.i, {made} + r.i, 'text', '{{\"text\":\"{}\"}}' from t, r",
            with(Some(EVENTS)), "a line of what the agent says ".repeat(4)
        ),
        format!(
            "{} insert into effect (key, task_id, state, result, created_at, ended_at)
             select 'task:' || {task} || ':' || case r.i when 1 then 'review-check' when 2 then 'review-check-end:0'
                 else 'purpose-' || r.i end, {task}, 'done', '12345678', {made}, {made} + 500 from t, r",
            with(Some(EFFECTS))
        ),
        format!(
            "{} insert into finding (finding_id, repository_id, number, task_id, path, fingerprint, state, body, comment_id,
                 head_sha, created_at)
             select {task} || r.i, t.i % 1000, t.i / 1000 / 3, {task}, 'src/main.rs', 'abc', 'fixed',
                 '{{\"path\":\"src/main.rs\",\"line\":3,\"side\":\"RIGHT\",\"severity\":\"high\",\"category\":\"correctness\",\"title\":\"It is off by one\",\"confidence\":90}}',
                 t.i, 'sha', {made} from t, r where t.i % {REVIEWS} = 0",
            with(Some(2))
        ),
        format!(
            "{} insert into session (task_id, session_id, archive, created_at, sealed_with)
             select {task}, 's', {body}, {made}, 'key' from t where t.i % {SESSIONS} = 0",
            with(None)
        ),
    ]
}
