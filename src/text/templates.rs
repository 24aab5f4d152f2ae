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
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for (name, text) in templates![
        "prompt/fix.md",
        "prompt/issue.md",
        "prompt/system.md",
        "prompt/thread.md",
        "report/check.md",
        "report/config_check.md",
        "report/held_back.md",
        "report/help.md",
        "report/progress.md",
        "report/pull.md",
        "report/refusal.md",
    ] {
        if let Err(error) = environment.add_template(name, text) {
            unreachable!("the template {name} is part of the program: {error:#}");
        }
    }
    environment
});

/// Render a template. A mistake in one shows as its own words, never as silence.
pub fn render(name: &str, context: &impl Serialize) -> String {
    let rendered =
        ENVIRONMENT.get_template(name).and_then(|template| template.render(minijinja::value::Serde(context)));
    match rendered {
        Ok(text) => text.trim().to_owned() + "\n",
        Err(error) => format!("(the template {name} is broken: {error:#})\n"),
    }
}
