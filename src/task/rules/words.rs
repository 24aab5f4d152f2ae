//! What a check run says of the settings that a pull request would bring.

use serde_json::json;

use super::{FILE, Mistake, Rules};
use crate::text;

/// More mistakes than this are counted, and not shown.
const MOST_SHOWN: usize = 50;

/// Title and summary: the mistakes, or the settings in force once they are merged (see [`Rules::under`]).
pub fn check_words(read: Result<&Rules, &[Mistake]>) -> (String, String) {
    let (title, mistakes, effective) = match read {
        Ok(rules) => ("The settings are fine".to_owned(), &[][..], text::redact(&rules.effective())),
        Err(mistakes) => (counted(mistakes.len()), mistakes, String::new()),
    };
    let shown = &mistakes[..mistakes.len().min(MOST_SHOWN)];
    let rows: Vec<_> = shown
        .iter()
        .map(|it| json!({ "line": it.line, "column": it.column, "message": it.message.replace('|', "\\|") }))
        .collect();
    let summary = text::render(
        "report/config_check.md",
        &json!({
            "file": FILE,
            "mistakes": rows,
            "more": mistakes.len() - shown.len(),
            "effective": effective.trim_end(),
            "fence": fence(&effective),
        }),
    );
    (title, text::cut(&summary, text::LONGEST_COMMENT))
}

fn counted(mistakes: usize) -> String {
    format!("{mistakes} mistake{} in {FILE}", if mistakes == 1 { "" } else { "s" })
}

/// A fence that the text can't close.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn mistakes_are_a_table() {
        let mistakes = read("reveiw:\n  on: []\nfix: { label: a|b, draft: 'x|y' }\n").unwrap_err();
        let (title, summary) = check_words(Err(&mistakes));
        assert_eq!(title, "2 mistakes in .github/cloud-agent.yml");
        insta::assert_snapshot!(summary, @r"
        `.github/cloud-agent.yml` can't be read as it is here. Nothing changes until it is merged; please mend this before.

        | line | column | what |
        |---:|---:|---|
        | 1 | 1 | unknown key `reveiw`; did you mean `review`? |
        | 3 | 27 | `fix.draft` must be `true` or `false`, not the text `x\|y` |
        ");
        assert_eq!(check_words(Err(&mistakes[..1])).0, "1 mistake in .github/cloud-agent.yml");
    }

    #[test]
    fn many_mistakes_are_counted() {
        let mistakes = read(&(0..60).map(|i| format!("key{i}: 1")).collect::<Vec<_>>().join("\n")).unwrap_err();
        let (title, summary) = check_words(Err(&mistakes));
        assert_eq!(title, "60 mistakes in .github/cloud-agent.yml");
        assert!(summary.contains("10 more") && summary.lines().count() < 70, "{summary}");
    }

    #[test]
    fn settings_in_force_are_shown() {
        let rules = read("instructions: |\n  Use:\n  ````sh\n  make\n  ````\n").unwrap();
        let (title, summary) = check_words(Ok(&rules));
        assert_eq!(title, "The settings are fine");
        insta::assert_snapshot!(summary, @r##"
        `.github/cloud-agent.yml` can be read. Settings count only from the default branch: once this is merged, these are in force.

        `````yaml
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
        instructions: |
          Use:
          ````sh
          make
          ````
        budget:
          run: # the operator's
        `````
        "##);
    }
}
