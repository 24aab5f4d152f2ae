//! Check runs of ours and of others, and the logs of jobs.

use cloud_agent::github::{Action, Annotation, CheckStatus, CheckUpdate, Conclusion, Error, Level, NewCheck};

use super::{LINES, Stage};

#[tokio::test]
async fn a_check_goes_from_queued_to_annotated() {
    let stage = Stage::new().await;
    let (repo, head) = (&stage.repo, &stage.head);
    let new = |external_id: &'static str| NewCheck {
        name: "review",
        head,
        external_id,
        status: CheckStatus::Queued,
        conclusion: None,
        title: "Waiting",
        summary: "In the queue.",
        actions: &[],
        details_url: Some("https://agent.example.com/tasks/1"),
    };
    let first = repo.create_check(&new("one")).await.unwrap();
    let run = repo.create_check(&new("two")).await.unwrap();
    assert_eq!((run.status.as_str(), run.conclusion.as_ref()), ("queued", None));
    // Of one name GitHub lists the latest unless asked for all.
    assert_eq!(repo.find_check(head, "review", "one").await.unwrap().unwrap().id, first.id);
    assert!(repo.find_check(head, "other", "one").await.unwrap().is_none());
    let annotation = |line: u32| Annotation {
        path: "new.txt".into(),
        start_line: line,
        end_line: line,
        level: Level::Warning,
        title: "Hm".into(),
        message: "Why?".into(),
    };
    let annotations: Vec<_> = (1..=LINES as u32).map(annotation).collect();
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(Conclusion::Neutral),
        title: "Remarks",
        summary: "Many.",
        annotations: &annotations,
        actions: &[Action {
            label: "Fix all of these now",
            description: "Ask the bot",
            identifier: "a-very-long-identifier",
        }],
    };
    // As effects of their own, each looked for before it is repeated.
    assert_eq!(update.calls(), 3);
    for index in 0..update.calls() {
        assert!(repo.find_annotated(run.id, index, &update).await.unwrap().is_none(), "call {index}");
        repo.annotate(run.id, index, &update).await.unwrap();
        assert!(repo.find_annotated(run.id, index, &update).await.unwrap().is_some(), "call {index}");
    }
    // And all at once.
    repo.update_check(first.id, &update).await.unwrap();
    let kept = &stage.github.check_runs("octo/app")[1];
    let lines: Vec<u64> = kept.annotations.iter().map(|it| it.start_line).collect();
    assert_eq!(lines, (1..=LINES).collect::<Vec<_>>());
    assert_eq!(kept.actions[0].identifier, "a-very-long-identifi");
    for id in [first.id, run.id] {
        let found = repo.check(id).await.unwrap();
        assert_eq!((found.status.as_str(), found.conclusion.as_deref()), ("completed", Some("neutral")));
        assert_eq!((found.output.annotations_count as u64, found.output.title.as_deref()), (LINES, Some("Remarks")));
        assert_eq!(found.details_url.as_deref(), Some("https://agent.example.com/tasks/1"));
    }
}

#[tokio::test]
async fn the_checks_of_a_commit_are_everybodys() {
    let stage = Stage::new().await;
    for index in 0..LINES {
        stage.github.check_by_other_app("octo/app", "fix/it", &format!("job {index}"), "failure");
    }
    let runs = stage.repo.checks_of(&stage.head).await.unwrap();
    assert_eq!(runs.len() as u64, LINES);
    let run = runs.iter().find(|it| it.name == "job 0").expect("one on the second page");
    assert_eq!(run.conclusion.as_deref(), Some("failure"));
    assert_ne!(run.app.as_ref().unwrap().id, stage.github.app_id());
    let theirs = CheckUpdate {
        status: CheckStatus::InProgress,
        conclusion: None,
        title: "t",
        summary: "s",
        annotations: &[],
        actions: &[],
    };
    let refused = stage.repo.update_check(run.id, &theirs).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
}

#[tokio::test]
async fn texts_that_are_too_long_are_cut_and_not_refused() {
    let stage = Stage::new().await;
    let long = "ü".repeat(70_000);
    let new = NewCheck {
        name: "review",
        head: &stage.head,
        external_id: "one",
        status: CheckStatus::InProgress,
        conclusion: None,
        title: &long,
        summary: &long,
        actions: &[Action { label: &long, description: &long, identifier: &long }; 4],
        details_url: None,
    };
    let run = stage.repo.create_check(&new).await.unwrap();
    assert_eq!((run.status.as_str(), run.conclusion), ("in_progress", None));
    let annotation = Annotation {
        path: "new.txt".into(),
        start_line: 3,
        end_line: 2,
        level: Level::Failure,
        title: long.clone(),
        message: long.clone(),
    };
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(Conclusion::ActionRequired),
        title: &long,
        summary: &long,
        annotations: &[annotation],
        actions: &[],
    };
    let run = stage.repo.update_check(run.id, &update).await.unwrap();
    assert_eq!((run.conclusion.as_deref(), run.output.annotations_count), (Some("action_required"), 1));
}

#[tokio::test]
async fn the_log_of_a_job_is_fetched_without_our_token() {
    let stage = Stage::new().await;
    let log: String = (1..=1000).map(|it| format!("line {it}")).collect::<Vec<_>>().join("\n") + "\n";
    let job = stage.github.actions_job_quietly("octo/app", &stage.head, "test", "failure", &log);
    let tail = stage.repo.job_log_tail(job, 30).await.unwrap().unwrap();
    assert_eq!(tail, "line 998\nline 999\nline 1000\n");
    assert_eq!(stage.repo.job_log_tail(job, 1 << 20).await.unwrap().unwrap(), log);
    let journal = stage.github.journal();
    let fetched = journal.iter().filter(|it| it.path.starts_with("/logs/")).collect::<Vec<_>>();
    assert_eq!(fetched.len(), 2);
    assert!(fetched.iter().all(|it| it.headers.iter().all(|(name, _)| name != "authorization")));
    assert_eq!(stage.repo.job_log_tail(1, 30).await.unwrap(), None, "no such job");
    // A job is a check run of GitHub Actions, too.
    let run = stage.repo.checks_of(&stage.head).await.unwrap().into_iter().find(|it| it.id == job).unwrap();
    assert_eq!((run.name.as_str(), run.conclusion.as_deref()), ("test", Some("failure")));
    let other = Stage::new().await;
    let job = other.github.actions_job_quietly("octo/app", &other.head, "test", "failure", &log);
    other.github.set_permissions(&[
        ("metadata", "read"),
        ("contents", "write"),
        ("issues", "write"),
        ("pull_requests", "write"),
        ("checks", "write"),
    ]);
    assert_eq!(other.repo.job_log_tail(job, 30).await.unwrap(), None, "without the permission for Actions");
}
