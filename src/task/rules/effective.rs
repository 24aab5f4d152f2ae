//! All settings in force as a file that says the same, for people to read.

use std::fmt::{Display, Write as _};

use serde::Serialize;

use super::Rules;
use crate::config::Dollars;

impl Rules {
    /// The settings as YAML, defaults included. What only the operator decides is left blank, unless [`Rules::under`] has
    /// filled it in.
    pub fn effective(&self) -> String {
        let Self { review, fix, gate, ask, model, instructions, budget } = self;
        let mut out = String::new();
        let mut line = |text: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{text}");
        };
        line("review:");
        line(&format!("  on: {}", list(review.on.iter().map(name))));
        line(&format!("  paths: {}", list(review.paths.patterns().iter().map(|it| quoted(it)))));
        line(&format!("  gate: {}", review.gate));
        line(&format!("  verify: {}", review.verify));
        line(&format!("  verdict: {}", name(&review.verdict)));
        line(&format!("  bots: {}", list(review.bots.iter().map(|it| quoted(it)))));
        line("fix:");
        line(&format!("  label: {}", or_operator(fix.label.as_deref().map(quoted))));
        line(&format!("  draft: {}", fix.draft));
        line("gate:");
        line(&format!("  allow: {}", list(gate.allow.iter().map(name))));
        line(&format!("  file_mb: {}", or_operator(gate.file_mb)));
        line(&format!("  files: {}", or_operator(gate.files)));
        line("ask:");
        line(&format!("  who: {}", name(&ask.who)));
        line(&format!("model: {}", or_operator(model.as_deref().map(quoted))));
        if instructions.is_empty() {
            line("instructions: \"\"");
        } else {
            line("instructions: |");
            for said in instructions.split('\n') {
                line(&if said.is_empty() { String::new() } else { format!("  {said}") });
            }
        }
        line("budget:");
        line(&format!("  run: {}", or_operator(budget.run.map(dollars))));
        out
    }
}

/// What stands when the repository says nothing.
fn or_operator(value: Option<impl Display>) -> String {
    value.map_or_else(|| "# the operator's".to_owned(), |value| value.to_string())
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// The word for one of a few choices.
fn name(choice: &impl Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A text in quotes, unless it is a plain word. JSON's quotes are YAML's, too.
fn quoted(text: &str) -> String {
    const TAKEN: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// An amount with its cents, and with all that it has beyond them.
fn dollars(amount: Dollars) -> String {
    let whole = format!("{}.{:06}", amount.micros / 1_000_000, amount.micros % 1_000_000);
    let beyond = whole.len() - 4;
    whole[..beyond].to_owned() + whole[beyond..].trim_end_matches('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Ask, Budget, Fix, Gate, On, Paths, Review, Verdict, Who, read};
    use super::*;
    use crate::config::Kind;

    #[test]
    fn defaults_are_shown() {
        insta::assert_snapshot!(Rules::default().effective(), @r##"
        review:
          on: []
          paths: ["**"]
          gate: false
          verify: true
          verdict: comment
          bots: []
        fix:
          label: # the operator's
          draft: false
        gate:
          allow: []
          file_mb: # the operator's
          files: # the operator's
        ask:
          who: write
        model: # the operator's
        instructions: ""
        budget:
          run: # the operator's
        "##);
    }

    #[test]
    fn money_keeps_its_cents() {
        for (micros, text) in [(3_000_000, "3.00"), (10_000, "0.01"), (2_505_000, "2.505"), (12_000_001, "12.000001")] {
            assert_eq!(dollars(Dollars { micros }), text);
        }
    }

    fn rules() -> impl Strategy<Value = Rules> {
        use proptest::{bool, collection::btree_set, collection::vec, option, sample::select};
        let on = btree_set(select(vec![On::Opened, On::ReadyForReview, On::Synchronize, On::Reopened]), 0..4);
        let paths = vec("!?[a-zä #'\"*]{1,8}(/[a-z*.-]{3,5})?", 1..5);
        let paths = paths.prop_filter_map("patterns", |it| Paths::new(it).ok());
        let verdict = select(vec![Verdict::Comment, Verdict::RequestChanges, Verdict::Approve]);
        let review = (on, paths, bool::ANY, bool::ANY, verdict, btree_set("[a-z0-9][a-z0-9-]{0,20}", 0..4));
        let review = review.prop_map(|(on, paths, gate, verify, verdict, bots)| Review {
            on,
            paths,
            gate,
            verify,
            verdict,
            bots,
        });
        let label = option::of("[a-z0-9:#'\"~!ä]([a-z0-9 :#'\"~!ä]{0,20}[a-z0-9:#'\"~!ä])?");
        let model = option::of("[a-z0-9][a-z0-9.:/@\\[\\]-]{0,20}");
        let who = select(vec![Who::Write, Who::Triage, Who::Read, Who::Everyone]);
        let instructions = "([ \\t\\n#:`|>'\"%a-zä-]|---\\n|\\.\\.\\.\\n){0,60}".prop_map(|it| it.trim().to_owned());
        let run = option::of(10_000..100_000_000_i64);
        let kinds = btree_set(select(Kind::ALL.map(|(_, kind)| kind).to_vec()), 0..4);
        let gate = (kinds, option::of(1..50_u32), option::of(1..10_000_u32)).prop_map(|(allow, file_mb, files)| Gate {
            allow,
            file_mb,
            files,
        });
        (review, label, bool::ANY, gate, who, model, instructions, run).prop_map(
            |(review, label, draft, gate, who, model, instructions, run)| Rules {
                review,
                fix: Fix { label, draft },
                gate,
                ask: Ask { who },
                model,
                instructions,
                budget: Budget { run: run.map(|micros| Dollars { micros }) },
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(rules in rules()) {
            let shown = rules.effective();
            prop_assert_eq!(read(&shown), Ok(rules), "{}", shown);
        }
    }
}
