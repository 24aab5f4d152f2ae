//! What a model request asks for: which model, and nothing that makes the API itself reach out to the world.

use serde::Deserialize;
use serde_json::Value;

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
    tools: Vec<Value>,
    #[serde(default)]
    mcp_servers: Value,
    #[serde(default)]
    speed: Value,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

/// Tools that the API itself runs, by the beginning of their type. They search and fetch on Anthropic's servers, where
/// no allow-list of ours holds. <https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview>
const SERVER_TOOLS: [&str; 5] = ["web_search", "web_fetch", "code_execution", "mcp_toolset", "advisor"];

impl Asked {
    pub fn read(body: &[u8]) -> Result<Self, Refused> {
        let body: Body = serde_json::from_slice(body).map_err(|error| Refused::Unreadable(error.to_string()))?;
        for tool in &body.tools {
            let type_ = tool["type"].as_str().unwrap_or_default();
            if SERVER_TOOLS.iter().any(|server| type_.starts_with(server)) {
                return Err(Refused::ReachesOut(format!("the tool `{}`", type_.chars().take(60).collect::<String>())));
            }
        }
        if !(body.mcp_servers.is_null() || body.mcp_servers.as_array().is_some_and(Vec::is_empty)) {
            return Err(Refused::ReachesOut("`mcp_servers`".to_owned()));
        }
        if !(body.speed.is_null() || body.speed == "standard") {
            return Err(Refused::Dear("`speed`".to_owned()));
        }
        if body.messages.iter().any(|message| has_link(&message.content)) {
            return Err(Refused::ReachesOut("a `source` of type `url`".to_owned()));
        }
        Ok(Self { model: body.model, max_tokens: body.max_tokens })
    }
}

/// Whether a content block asks the API to fetch a picture or document from somewhere. Only blocks are looked at: the
/// input of a tool call may hold the same words and means nothing by them.
fn has_link(content: &Value) -> bool {
    content.as_array().is_some_and(|blocks| {
        blocks.iter().any(|block| {
            let source = &block["source"];
            source["type"] == "url" || has_link(&block["content"]) || has_link(&source["content"])
        })
    })
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
            "tools": [{"name": "Bash", "input_schema": {}}, {"type": "custom", "name": "DeferredToolPlaceholder"}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash", "input": {"source": {"type": "url"}}}]},
                {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64"}}]}]},
            ],
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
        refuse(json!({"mcp_servers": [{"type": "url", "url": "https://example.com"}]}));
        let link = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/?secret"}});
        refuse(json!({"messages": [{"role": "user", "content": [link]}]}));
        refuse(json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [link]}]}]}));
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
