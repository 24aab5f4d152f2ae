//! Threads of review comments, through GraphQL.

use cloud_agent::github::Error;
use simulator::github::Options;

use super::{LINES, Stage};

/// GraphQL is beside the REST API on an Enterprise Server, and below it elsewhere.
#[tokio::test]
async fn threads_are_read_to_the_last_page_and_resolved() {
    for api_prefix in ["", "/api/v3"] {
        let stage = Stage::with(Options { api_prefix: api_prefix.to_owned(), ..Options::default() }).await;
        let (repo, number) = (&stage.repo, stage.number);
        assert!(repo.threads(number).await.unwrap().is_empty());
        stage.many_comments().await;
        let last = repo.review_comments(number).await.unwrap().last().unwrap().id;
        let reply = repo.reply(number, last, "Because.").await.unwrap();
        let threads = repo.threads(number).await.unwrap();
        assert_eq!(threads.len() as u64, LINES);
        let thread = threads.last().unwrap();
        assert_eq!((thread.path.as_str(), thread.line), ("new.txt", Some(LINES as u32)));
        assert!(!thread.is_resolved && !thread.is_outdated && thread.resolved_by.is_none());
        let comments: Vec<_> = thread.comments.iter().map(|it| (it.database_id, it.author.as_deref())).collect();
        // GraphQL leaves `[bot]` out.
        assert_eq!(comments, [(Some(last), Some("alice")), (Some(reply), Some("cloud-agent"))]);
        assert_eq!((thread.comments[1].body.as_str(), thread.comments[1].created_at.len()), ("Because.", 20));
        repo.resolve_thread(&thread.id).await.unwrap();
        repo.resolve_thread(&thread.id).await.unwrap();
        let thread = repo.threads(number).await.unwrap().pop().unwrap();
        assert!(thread.is_resolved);
        assert_eq!(thread.resolved_by.as_deref(), Some("cloud-agent"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let stage = Stage::new().await;
    let nothing = stage.repo.threads(999).await.unwrap_err();
    assert!(matches!(nothing, Error::NotFound(_)), "{nothing}");
    let nothing = stage.repo.resolve_thread("PRRT_none").await.unwrap_err();
    assert!(matches!(nothing, Error::NotFound(_)), "{nothing}");
}

#[tokio::test]
async fn without_write_access_to_contents_threads_are_read_and_stay_open() {
    let stage = Stage::new().await;
    stage.github.review_comment("alice", &stage.place(), "new.txt", 1, "Hm.").await;
    let thread = stage.repo.threads(stage.number).await.unwrap().remove(0);
    let kept = [("metadata", "read"), ("contents", "read"), ("issues", "write"), ("pull_requests", "write")];
    stage.github.set_permissions(&kept);
    let refused = stage.repo.resolve_thread(&thread.id).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
    assert!(!stage.repo.threads(stage.number).await.unwrap()[0].is_resolved);
}
