//! What a model request asks for: which model, and nothing that makes the API itself reach out to the world.

use serde::Deserialize;
use serde_json::Value;

use super::once::Once;

/// The body of a request, as far as the gateway has an opinion on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub model: String,
    /// The longest answer that it wants.
    pub max_tokens: u64,
}

/// Why a body is not passed on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the body is no request that the Messages API would take: {0}")]
    Unreadable(String),
    #[error("{0} would let the model API reach hosts that this run may not reach")]
    ReachesOut(String),
    #[error("{0} costs more than this run's budget is counted in")]
    Dear(String),
}

#[derive(Deserialize)]
struct Body {
    // A key that stands twice is an error in serde, so nobody can show us one model and the API another.
    model: String,
    /// The API answers nobody who leaves it out.
    #[serde(default)]
    max_tokens: u64,
    #[serde(default)]
    tools: Vec<Once>,
    #[serde(default)]
    mcp_servers: Value,
    #[serde(default)]
    speed: Value,
    #[serde(default)]
    system: Once,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Once,
}

/// Tools that the client runs, by the beginning of their type, and a search among the tools of the request itself. What is
/// not known here may run on Anthropic's servers (web search, code execution, whatever comes next), where no allow-list of
/// ours holds. <https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview>
const CLIENT_TOOLS: [&str; 5] = ["bash_", "text_editor_", "computer_", "memory_", "tool_search_tool_"];

/// Where the bytes of a picture or document may come from: the request itself. Others are fetched by the API, or are files
/// that somebody with the same key has left there.
const SOURCES: [&str; 3] = ["base64", "text", "content"];

impl Asked {
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let body: Body = serde_json::from_slice(body).map_err(|error| Refused::Unreadable(error.to_string()))?;
        if let Some(other) = body.tools.iter().find_map(|Once(tool)| strange(tool)) {
            return Err(Refused::ReachesOut(format!("the tool `{}`", short(other))));
        }
        if !(body.mcp_servers.is_null() || body.mcp_servers.as_array().is_some_and(Vec::is_empty)) {
            return Err(Refused::ReachesOut("`mcp_servers`".to_owned()));
        }
        if !(body.speed.is_null() || body.speed == "standard") {
            return Err(Refused::Dear("`speed`".to_owned()));
        }
        let mut contents = body.messages.iter().map(|message| &message.content).chain([&body.system]);
        if let Some(source) = contents.find_map(|Once(content)| foreign(content)) {
            return Err(Refused::ReachesOut(format!("a `source` of type `{}`", short(source))));
        }
        Ok(Self { model: body.model, max_tokens: body.max_tokens })
    }
}

/// The type of a tool that is not known to be run by the client.
fn strange(tool: &Value) -> Option<&Value> {
    let is_ours = |type_: &str| type_ == "custom" || CLIENT_TOOLS.iter().any(|ours| type_.starts_with(ours));
    let type_ = &tool["type"];
    (!type_.is_null() && !type_.as_str().is_some_and(is_ours)).then_some(type_)
}

/// The type of a source that is not in the request itself. Only blocks are looked at: the input of a tool call may hold the
/// same words and means nothing by them.
fn foreign(content: &Value) -> Option<&Value> {
    content.as_array()?.iter().find_map(|block| {
        let source = &block["source"];
        let type_ = &source["type"];
        // The source of a search result is a mere name.
        let is_foreign = source.is_object() && !type_.as_str().is_some_and(|it| SOURCES.contains(&it));
        if is_foreign { Some(type_) } else { foreign(&block["content"]).or_else(|| foreign(&source["content"])) }
    })
}

fn short(type_: &Value) -> String {
    type_.as_str().map_or_else(|| type_.to_string(), str::to_owned).chars().take(60).collect()
}

/// Whether a model is one of those allowed: by full id, or by family (`sonnet` allows `claude-sonnet-5-5`).
pub(super) fn allows(allowed: &[String], model: &str) -> bool {
    allowed.iter().any(|entry| entry == model || model.split('-').any(|part| part == entry))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<Asked, Refused> {
        Asked::read(body.to_string().as_bytes())
    }

    #[test]
    fn what_claude_code_sends_passes() {
        let body = json!({
            "model": "claude-sonnet-5-5", "stream": true, "max_tokens": 128_000, "thinking": {"type": "adaptive"},
            "tools": [{"name": "Bash", "input_schema": {}}, {"type": "custom", "name": "DeferredToolPlaceholder"},
                {"type": null, "name": "Read"}, {"type": "text_editor_20250728"}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash", "input": {"source": {"type": "url"}}}]},
                {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
                {"role": "user", "content": [{"type": "search_result", "source": "https://example.com", "content": []}]},
            ],
            "system": [{"type": "text", "text": "source", "cache_control": {"type": "ephemeral"}}],
        });
        assert_eq!(read(&body), Ok(Asked { model: "claude-sonnet-5-5".to_owned(), max_tokens: 128_000 }));
    }

    #[test]
    fn what_makes_the_api_reach_out_is_refused() {
        let refuse = |more: Value| {
            let mut body = json!({"model": "m"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert!(matches!(read(&body), Err(Refused::ReachesOut(_))), "{body}");
        };
        refuse(json!({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}));
        refuse(json!({"tools": [{"name": "x"}, {"type": "web_reader_20990101"}]}));
        refuse(json!({"tools": [{"type": ["custom"]}]}));
        refuse(json!({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}));
        let link = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/?secret"}});
        refuse(json!({"messages": [{"role": "user", "content": [link]}]}));
        refuse(json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [link]}]}]}));
        let file = json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}});
        refuse(json!({"messages": [{"role": "user", "content": [file]}]}));
        refuse(
            json!({"messages": [{"role": "user", "content": [{"source": {"type": "content", "content": [file]}}]}]}),
        );
        refuse(json!({"messages": [{"role": "user", "content": [{"source": {"url": "https://example.com"}}]}]}));
        refuse(json!({"system": [file]}));
        assert!(matches!(read(&json!({"model": "m", "speed": "fast"})), Err(Refused::Dear(_))));
    }

    #[test]
    fn a_body_that_can_be_read_two_ways_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"model":1}"#,
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","tools":[],"tools":[{}]}"#,
            r#"{"model":"a","tools":[{"type":"web_fetch_20250910","type":"custom"}]}"#,
            r#"{"model":"a","messages":[{"content":[{"source":{"type":"url","type":"base64"}}]}]}"#,
            r#"{"model":"a","messages":[{"content":[{"source":{"type":"url"},"source":{"type":"text"}}]}]}"#,
            r#"{"model":"a","max_tokens":9,"max_tokens":1}"#,
        ] {
            assert!(matches!(Asked::read(body.as_bytes()), Err(Refused::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn models_are_allowed_by_id_or_family() {
        let check =
            |allowed: &str, model, yes| assert_eq!(allows(&[allowed.to_owned()], model), yes, "{allowed} {model}");
        check("claude-sonnet-5-5", "claude-sonnet-5-5", true);
        check("sonnet", "claude-sonnet-5-5", true);
        check("sonnet", "claude-opus-5-5", false);
        check("claude-sonnet-5", "claude-sonnet-5-5", false);
    }
}
