//! Every word that people or Claude read stands in `templates/`; this file only knows where.

use std::sync::LazyLock;

use minijinja::Environment;
use serde::Serialize;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/", $name)))),*]
    };
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        match std::path::Path::new(name).extension().is_some_and(|it| it == "html") {
            true => minijinja::AutoEscape::Html,
            false => minijinja::AutoEscape::None,
        }
    });
    environment.add_filter("with_code", with_code);
    for (name, text) in templates![
        "api/page.css",
        "api/page.html",
        "prompt/change.md",
        "prompt/changed.md",
        "prompt/checks.md",
        "prompt/earlier.md",
        "prompt/fix.md",
        "prompt/fix_all.md",
        "prompt/interrupted.md",
        "prompt/issue.md",
        "prompt/pull.md",
        "prompt/review.md",
        "prompt/system.md",
        "prompt/system_change.md",
        "prompt/system_review.md",
        "prompt/thread.md",
        "prompt/threads.md",
        "prompt/verify.md",
        "report/approved.md",
        "report/blocked.md",
        "report/breaker.md",
        "report/check.md",
        "report/config_check.md",
        "report/ending.md",
        "report/held_back.md",
        "report/help.md",
        "report/hidden.md",
        "report/later.md",
        "report/left_out.md",
        "report/progress.md",
        "report/own_key.md",
        "report/no_check.md",
        "report/pull.md",
        "report/refusal.md",
        "report/review/comment.md",
        "report/review/merge_group.md",
        "report/review/progress.md",
        "report/review/queued.md",
        "report/review/stranded.md",
        "report/review/summary.md",
        "report/thread_answer.md",
        "report/twin.md",
        "report/waiting.md",
    ] {
        if let Err(error) = environment.add_template(name, text) {
            unreachable!("the template {name} is part of the program: {error:#}");
        }
    }
    environment
});

/// Words of ours as HTML: what stands between backticks is code.
fn with_code(text: Option<String>) -> minijinja::Value {
    let text = text.unwrap_or_default();
    let parts = text.split('`').enumerate().map(|(at, part)| match at % 2 {
        0 => minijinja::HtmlEscape(part).to_string(),
        _ => format!("<code>{}</code>", minijinja::HtmlEscape(part)),
    });
    minijinja::Value::from_safe_string(parts.collect())
}

/// Render a template. A mistake in one shows as its own words, never as silence.
pub fn render(name: &str, context: &impl Serialize) -> String {
    let rendered =
        ENVIRONMENT.get_template(name).and_then(|template| template.render(minijinja::value::Serde(context)));
    match rendered {
        Ok(text) => text.trim().to_owned() + "\n",
        Err(error) => format!("(the template {name} is broken: {error:#})\n"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::path::Path;

    use super::*;

    #[test]
    fn every_template_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut folders = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
                match path.extension() {
                    None => folders.push(path),
                    Some(end) if end == "md" || end == "html" || end == "css" => {
                        found.push(path.strip_prefix(&root).unwrap().display().to_string());
                    }
                    Some(_) => (),
                }
            }
        }
        found.sort();
        let mut known: Vec<_> = ENVIRONMENT.templates().map(|(name, _)| name.to_owned()).collect();
        known.sort();
        assert_eq!(known, found);
    }

    #[test]
    fn endings_say_who_can_do_what() {
        let words = |code: &str| {
            let task =
                serde_json::json!({ "ending": { "code": code }, "mention": "bot", "task": "T", "unthreaded": false });
            render("report/ending.md", &task)
        };
        let full = words("host_disk_floor");
        assert!(full.contains("nearly out of disk") && full.contains("`cloud-agent doctor`"), "{full}");
        assert!(!words("disk").contains("The machine that I run on"));
        let model = words("model_unknown");
        assert!(model.contains("`model` in the repository's") && model.contains("`CLAUDE_VERIFY_MODEL`"), "{model}");
        let ours = words("never_heard_of");
        assert!(ours.contains("(`never_heard_of`)") && ours.contains("Then say `@bot retry`."), "{ours}");
    }
}
