//! Check runs: a line for each with its buttons, what it says folded below, and a page of its own.

use std::fmt::Write as _;

use super::markdown::{Link, escape, render};
use crate::github::APP_ID;
use crate::github::state::{Check, State};

/// The runs of a pull request's head, with buttons that lead back to `back`.
pub(crate) fn list(link: &Link, checks: &[&Check], back: &str) -> String {
    let mut out = String::new();
    for check in checks {
        let says = says(link, check);
        let _ = write!(out, "<div class=\"row\">{}{}</div>", line(link, check), buttons(check, back));
        if !says.is_empty() {
            let _ = write!(out, "<details class=\"says\"><summary>What it says</summary>{says}</details>");
        }
    }
    if out.is_empty() { out } else { format!("<section class=\"box checks\">{out}</section>") }
}

/// A check run's own page.
pub(crate) fn page(state: &State, check: &Check) -> String {
    let link = Link { repo: state.repo(check.repo).full_name(), ..Link::default() };
    let back = format!("/{}/runs/{}", link.repo, check.id);
    let mut out = format!(
        "<h1>{}</h1><section class=\"box checks\"><div class=\"row\">{}{}</div></section>",
        escape(check.title.as_deref().unwrap_or(&check.name)),
        line(&link, check),
        buttons(check, &back),
    );
    let says = says(&link, check);
    if !says.is_empty() {
        let _ = write!(out, "<section class=\"box\">{says}</section>");
    }
    out
}

fn line(link: &Link, check: &Check) -> String {
    let state = check.conclusion.as_deref().unwrap_or(&check.status);
    let mark = match state {
        "success" => "✓",
        "failure" | "timed_out" | "action_required" => "✗",
        "queued" | "in_progress" => "●",
        _ => "▪",
    };
    format!(
        "<p class=\"check {state}\"><span class=\"mark\">{mark}</span> <a href=\"/{}/runs/{}\"><b>{}</b></a> {} \
         <span class=\"dim\">{}</span></p>",
        link.repo,
        check.id,
        escape(&check.name),
        escape(check.title.as_deref().unwrap_or_default()),
        state.replace('_', " "),
    )
}

fn says(link: &Link, check: &Check) -> String {
    let mut out = String::new();
    for text in [&check.summary, &check.text].into_iter().flatten() {
        let _ = write!(out, "<div class=\"text\">{}</div>", render(text, link));
    }
    for it in &check.annotations {
        let text = |name: &str| escape(it[name].as_str().unwrap_or_default());
        let (start, end) = (it["start_line"].as_u64().unwrap_or(1), it["end_line"].as_u64().unwrap_or(1));
        let lines = if start == end { start.to_string() } else { format!("{start}–{end}") };
        let _ = write!(
            out,
            "<div class=\"annotation {}\"><code>{}:{lines}</code> <b>{}</b><br>{}</div>",
            text("annotation_level"),
            text("path"),
            text("title"),
            text("message").replace('\n', "<br>"),
        );
    }
    out
}

/// GitHub shows the buttons of runs that are completed.
fn buttons(check: &Check, back: &str) -> String {
    if check.app != APP_ID || check.status != "completed" {
        return String::new();
    }
    let button = |action: &str, label: &str, hint: &str| {
        format!(
            "<form method=\"post\" action=\"/_control/click\"><input type=\"hidden\" name=\"check\" value=\"{}\">\
             <input type=\"hidden\" name=\"back\" value=\"{}\"><button name=\"action\" value=\"{}\" title=\"{}\">{}\
             </button></form>",
            check.id,
            escape(back),
            escape(action),
            escape(hint),
            escape(label),
        )
    };
    let mut out = String::new();
    let mut own_rerun = false;
    for it in &check.actions {
        let text = |name: &str| it[name].as_str().unwrap_or_default();
        own_rerun |= text("label") == "Re-run";
        out.push_str(&button(text("identifier"), text("label"), text("description")));
    }
    if !own_rerun {
        // GitHub's own, which sends `rerequested`.
        out.push_str(&button("", "Re-run", "Ask the App to run this check again"));
    }
    format!("<div class=\"buttons\">{out}</div>")
}
