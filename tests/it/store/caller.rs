//! What a caller brings for one task: sealed, opened for that task alone, and gone when nobody needs it.

use cloud_agent::store::{
    self, Brings, Called, Created, Keep, Keys, NewCallback, NewTask, Order, Ordered, Queue, Secret, Store, Tried,
};
use cloud_agent::task::{Account, Kind, Place, PullSnapshot, Snapshot, State, TaskId, Trigger};
use secrecy::ExposeSecret as _;

use super::{KEY, LEASE, Scene, until};

const NEW: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";
const MONTH: std::time::Duration = std::time::Duration::from_hours(720);
const KEEP: Keep = Keep { deliveries: MONTH, events: MONTH, transcripts: MONTH, tasks: MONTH };
const THEIRS: &str = "sk-ant-api03-a-key-of-somebody-else";

fn new(number: u64, kind: Kind, head: &str) -> NewTask {
    let pull = PullSnapshot { head_sha: head.to_owned(), ..PullSnapshot::default() };
    NewTask {
        id: TaskId::fresh(),
        place: Place { installation_id: 1, repository_id: 1, repository: "o/r".to_owned(), number },
        requester: Account { id: 1, login: "api:desk".to_owned() },
        trigger: Trigger::Api,
        prompt: String::new(),
        snapshot: Snapshot { pull: (kind == Kind::Review).then_some(pull), ..Snapshot::default() },
        kind,
        origin: None,
        within: None,
    }
}

/// A task with a key of its caller's own and a callback; its id and the delivery's.
async fn order(scene: &Scene, new: &NewTask) -> (String, String) {
    let delivery_id = uuid::Uuid::now_v7().to_string();
    let callback = NewCallback {
        delivery_id: delivery_id.clone(),
        url: "https://hooks.example.com/secret-path".into(),
        secret: "a secret of the caller's".into(),
        host: "hooks.example.com".to_owned(),
    };
    let brings = Brings { model_key: Some(THEIRS.into()), callback: Some(callback), ..Brings::default() };
    let order =
        Order { key_id: "admin".to_owned(), budget_per_day: None, budget: None, parent_id: None, brings, once: None };
    assert!(matches!(scene.store.order_task(new, &order, 1).await.unwrap(), Ordered::Made { .. }));
    (new.id.to_string(), delivery_id)
}

async fn opened(store: &Store, task: &str, what: Secret) -> Option<String> {
    let secret = store.secret_of(task, what).await.unwrap();
    secret.map(|it| it.expose_secret().to_owned())
}

async fn kept(scene: &Scene) -> i64 {
    scene.count("select count(*) from task_secret").await
}

on_both! {
    async fn what_was_brought_goes_when_it_is_not_needed(scene) {
        let (task, delivery) = order(&scene, &new(1, Kind::Issue, "")).await;
        let (other, _) = order(&scene, &new(2, Kind::Issue, "")).await;
        assert_eq!(opened(&scene.store, &task, Secret::ModelKey).await.as_deref(), Some(THEIRS));
        assert!(scene.store.task(&task).await.unwrap().unwrap().own_key);
        assert_eq!(kept(&scene).await, 6);
        assert_eq!(scene.store.open_jobs(Queue::Callback).await.unwrap(), 0, "it has not ended");

        // A sealed one opens in its own place alone.
        scene.sql(&[format!("update task_secret set sealed = (select sealed from task_secret where task_id = '{other}' and name = 'callback_url')
                             where task_id = '{task}' and name = 'callback_secret'")]).await;
        assert!(scene.store.secret_of(&task, Secret::CallbackSecret).await.unwrap_err().to_string().contains("was changed"));

        let ours = scene.claim(Queue::Task, LEASE, None).await.unwrap().lease;
        assert_eq!(ours.job_id, task);
        assert!(scene.store.end(&ours, State::Failed).await.unwrap());
        assert_eq!(opened(&scene.store, &task, Secret::ModelKey).await, None, "wiped with the end");
        assert_eq!(opened(&scene.store, &task, Secret::CallbackUrl).await.as_deref(), Some("https://hooks.example.com/secret-path"));
        assert_eq!(opened(&scene.store, &other, Secret::ModelKey).await.as_deref(), Some(THEIRS), "that of the other stays");

        let call = scene.claim(Queue::Callback, LEASE, None).await.unwrap();
        assert_eq!(call.lease.job_id, delivery);
        let tried = Tried { status: Some(500), says: Some("no".to_owned()) };
        assert!(scene.store.note_try(&call.lease, &tried, 7).await.unwrap());
        let callback = scene.store.callback(&delivery).await.unwrap().unwrap();
        assert_eq!((callback.tries, callback.next_at, callback.last), (1, Some(7), tried));
        let lapsed = store::Lease { epoch: call.lease.epoch - 1, ..call.lease.clone() };
        assert!(!scene.store.end_callback(&lapsed, &Tried::default(), Called::GivenUp).await.unwrap());
        assert!(scene.store.end_callback(&call.lease, &Tried { status: Some(204), says: None }, Called::Delivered).await.unwrap());
        let callback = scene.store.callback_of_task(&task).await.unwrap().unwrap();
        assert_eq!((callback.outcome, callback.tries, callback.last.status), (Some(Called::Delivered), 2, Some(204)));
        assert_eq!((kept(&scene).await, scene.store.open_jobs(Queue::Callback).await.unwrap()), (3, 0));
    }

    async fn a_review_that_gives_way_has_ended_too(scene) {
        let (task, delivery) = order(&scene, &new(3, Kind::Review, "one")).await;
        scene.deliver("push").await;
        let claimed = scene.claim(Queue::Delivery, LEASE, None).await.unwrap();
        let made = scene.store.create_task(&claimed.lease, &new(3, Kind::Review, "two")).await.unwrap();
        assert_eq!(made, Created::Made { superseded: Some(task.clone()) });
        assert_eq!(opened(&scene.store, &task, Secret::ModelKey).await, None);
        assert_eq!(scene.claim(Queue::Callback, LEASE, None).await.unwrap().lease.job_id, delivery);
    }

    async fn the_cleaner_wipes_what_was_left_and_seals_the_rest_anew(scene) {
        let (ended, _) = order(&scene, &new(1, Kind::Issue, "")).await;
        let (open, _) = order(&scene, &new(2, Kind::Issue, "")).await;
        scene.sql(&[format!("update task set ended_at = 1 where task_id = '{ended}'")]).await;
        let mut rotated = Store::connect(&scene.url.clone().into()).await.unwrap();
        rotated.unlock(Keys::read(&format!("{NEW},{KEY}").into()).unwrap()).await.unwrap();
        let cleaner = tokio::spawn(store::clean(rotated.clone(), KEEP));
        let anew = vec![(Keys::read(&NEW.into()).unwrap().sealing(), 5)];
        until("all to be sealed anew", async || rotated.sealing().await.unwrap().rows == anew).await;
        cleaner.abort();
        assert_eq!(opened(&rotated, &ended, Secret::ModelKey).await, None, "nobody needs it");
        assert!(opened(&rotated, &ended, Secret::CallbackUrl).await.is_some(), "somebody is still to be called");
        for what in [Secret::ModelKey, Secret::CallbackUrl, Secret::CallbackSecret] {
            assert!(opened(&rotated, &open, what).await.is_some(), "{what:?}");
        }
    }
}
