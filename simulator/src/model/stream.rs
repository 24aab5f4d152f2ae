//! The wire form of an answer: one JSON message, or the same as server-sent events.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::script::{Step, Trouble};

/// Characters of text per event.
const PIECE: usize = 20;

/// The complete message. Tokens not claimed by the script are guessed from sizes.
pub(crate) fn message(request: &Value, step: &Step, request_bytes: usize) -> Value {
    let uses_tool = step.content.iter().any(|it| it["type"] == "tool_use");
    let stop = step.stop_reason.clone().unwrap_or_else(|| (if uses_tool { "tool_use" } else { "end_turn" }).to_owned());
    let said = step.content.iter().map(|it| it.to_string().len()).sum::<usize>();
    let usage = &step.usage;
    json!({
        "id": format!("msg_{}", &uuid::Uuid::new_v4().simple().to_string()[..24]),
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": step.content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input_tokens.unwrap_or(request_bytes as u64 / 4),
            "cache_creation_input_tokens": usage.cache_creation_input_tokens.unwrap_or(0),
            "cache_read_input_tokens": usage.cache_read_input_tokens.unwrap_or(0),
            "output_tokens": usage.output_tokens.unwrap_or((said as u64 / 4).max(1)),
            "service_tier": "standard",
        },
    })
}

/// The message as a stream, perhaps with trouble in the middle.
pub(crate) fn reply(
    message: &Value,
    trouble: Option<Trouble>,
    delay: Duration,
    id: &str,
    headers: &[(String, String)],
) -> Response<Body> {
    let events = events(message, trouble);
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::io::Error>>(8);
    tokio::spawn(async move {
        for event in events {
            tokio::time::sleep(delay).await;
            if sender.send(Ok(event)).await.is_err() {
                return;
            }
        }
        if trouble == Some(Trouble::Cut) {
            // What was said must arrive before the connection breaks.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = sender.send(Err(std::io::Error::other("cut"))).await;
        }
    });
    let mut response = Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache")
        .header("request-id", id);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(ReceiverStream::new(receiver))).unwrap()
}

fn events(message: &Value, trouble: Option<Trouble>) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut event = |name: &str, mut data: Value| {
        data["type"] = json!(name);
        events.push(Bytes::from(format!("event: {name}\ndata: {data}\n\n")));
    };
    let mut start = message.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"]["output_tokens"] = json!(1);
    event("message_start", json!({ "message": start }));
    for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match block["type"].as_str() {
            Some("text") => {
                let empty = json!({ "type": "text", "text": "" });
                event("content_block_start", json!({ "index": index, "content_block": empty }));
                let letters: Vec<char> = text("text").chars().collect();
                for (nth, piece) in letters.chunks(PIECE).enumerate() {
                    let piece: String = piece.iter().collect();
                    let delta = json!({ "type": "text_delta", "text": piece });
                    event("content_block_delta", json!({ "index": index, "delta": delta }));
                    if trouble.is_some() && nth == 1 {
                        if trouble == Some(Trouble::ErrorEvent) {
                            event("error", json!({ "error": { "type": "overloaded_error", "message": "Overloaded" } }));
                        }
                        return events;
                    }
                }
            }
            Some("thinking") => {
                let empty = json!({ "type": "thinking", "thinking": "", "signature": "" });
                event("content_block_start", json!({ "index": index, "content_block": empty }));
                let mut delta = |it: Value| event("content_block_delta", json!({ "index": index, "delta": it }));
                delta(json!({ "type": "thinking_delta", "thinking": text("thinking") }));
                delta(json!({ "type": "signature_delta", "signature": text("signature") }));
            }
            _ => {
                let empty = json!({ "type": "tool_use", "id": block["id"], "name": block["name"], "input": {} });
                event("content_block_start", json!({ "index": index, "content_block": empty }));
                let mut delta = |it: Value| event("content_block_delta", json!({ "index": index, "delta": it }));
                delta(json!({ "type": "input_json_delta", "partial_json": block["input"].to_string() }));
            }
        }
        event("content_block_stop", json!({ "index": index }));
    }
    let delta = json!({ "stop_reason": message["stop_reason"], "stop_sequence": null });
    event("message_delta", json!({ "delta": delta, "usage": message["usage"] }));
    event("message_stop", json!({}));
    events
}
