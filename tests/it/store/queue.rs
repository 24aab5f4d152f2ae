//! What the store promises to the workers, on both databases: one holder at a time, nothing written by a late one, lanes
//! that hold, effects that happen once.

use std::time::Duration;

use cloud_agent::store::{
    Begun, Decided, DeliveryState, Effect, Intent, Lease, Listing, NewDelivery, NewEvent, Queue, Renewed,
};
use cloud_agent::task::{Ending, Progress, State};

use super::{LEASE, NO_LEASE, delivery};

on_both! {
    async fn a_guid_is_stored_once(scene) {
        assert!(scene.deliver("a").await);
        assert!(!scene.deliver("a").await);
        assert!(scene.deliver("b").await);
        assert_eq!(scene.store.open_jobs(Queue::Delivery).await.unwrap(), 2);
    }

    async fn a_claim_is_held_by_one_until_it_lapses(scene) {
        scene.deliver("a").await;
        let first = scene.claim(Queue::Delivery, NO_LEASE, None).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let second = scene.claim(Queue::Delivery, LEASE, None).await.expect("the first has lapsed");
        assert!(scene.claim(Queue::Delivery, LEASE, None).await.is_none(), "the second holds");
        assert_eq!((first.lease.epoch + 1, second.attempts), (second.lease.epoch, 1));

        assert_eq!(scene.store.renew(&first.lease, LEASE).await.unwrap(), Renewed::Lost);
        assert_eq!(scene.store.renew(&second.lease, LEASE).await.unwrap(), Renewed::Ours);
        assert!(!scene.store.finish(&first.lease).await.unwrap());
        scene.store.give_back(&first, 0, true).await.unwrap();
        assert!(scene.claim(Queue::Delivery, LEASE, None).await.is_none(), "a late worker gives nothing back");
        assert!(scene.store.finish(&second.lease).await.unwrap());
        assert_eq!(scene.store.open_jobs(Queue::Delivery).await.unwrap(), 0);
    }

    async fn a_late_worker_writes_nothing(scene) {
        scene.task(1, 1).await;
        let late = scene.claim(Queue::Task, NO_LEASE, Some(9)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap();
        let store = &scene.store;
        let effect = |lease| Effect { key: "task:1:comment", task_id: None, lease };

        assert!(!store.advance(&late.lease, State::Queued, State::Running).await.unwrap());
        assert!(!store.record(&late.lease, &Progress::default()).await.unwrap());
        assert!(!store.conclude(&late.lease, &Ending::new("budget", "")).await.unwrap());
        assert!(!store.end(&late.lease, State::Failed).await.unwrap());
        store.spent(&late.lease, 99, 9).await.unwrap();
        assert_eq!(store.intend(&effect(&late.lease)).await.unwrap(), Intent::Lost);

        assert!(store.advance(&now.lease, State::Queued, State::Running).await.unwrap());
        assert!(!store.advance(&now.lease, State::Queued, State::Running).await.unwrap(), "it is running already");
        assert!(store.advance(&now.lease, State::Completed, State::Running).await.is_err(), "no legal move");
        assert!(store.conclude(&now.lease, &Ending::new("budget", "")).await.unwrap());
        assert!(!store.conclude(&now.lease, &Ending::new("time", "")).await.unwrap(), "it ends once");
        assert!(store.end(&now.lease, State::Failed).await.unwrap());
        let task = store.task(&now.lease.job_id).await.unwrap().unwrap();
        assert_eq!((task.state, task.spent_micros, task.ending.unwrap().code.as_str()), (State::Failed, 0, "budget"));
    }

    async fn nothing_is_published_after_a_stop(scene) {
        let store = &scene.store;
        for (number, stopped) in [(1, false), (2, true)] {
            scene.task(number, 1).await;
            let held = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap().lease;
            assert!(store.advance(&held, State::Queued, State::Running).await.unwrap());
            if stopped {
                assert!(store.request_cancel(&held.job_id, "bob").await.unwrap());
            }
            let begun = store.begin_publishing(&held, State::Running).await.unwrap();
            let late = Lease { epoch: held.epoch - 1, ..held.clone() };
            let (expected, stands) = match stopped {
                true => (Begun::Cancelled("bob".to_owned()), State::Running),
                false => (Begun::Yes, State::Publishing),
            };
            assert_eq!(begun, expected);
            assert_eq!(store.begin_publishing(&late, stands).await.unwrap(), Begun::Lost);
            assert_eq!(store.task_state(&held.job_id).await.unwrap(), Some(stands));
            assert!(store.end(&held, State::Failed).await.unwrap());
        }
    }

    async fn one_process_looks_for_what_was_missed(scene) {
        let store = &scene.store;
        let first = store.begin_sweep(1, "a", LEASE).await.unwrap().expect("nobody else looks");
        assert_eq!((first.swept_until, first.listing), (0, None));
        assert_eq!(store.begin_sweep(1, "b", LEASE).await.unwrap(), None);
        store.swept(1, "a", 7).await.unwrap();
        store.swept(1, "b", 9).await.unwrap();
        store.list_since(1, "a", 3).await.unwrap();
        store.listed(1, "a", Some((4, 5))).await.unwrap();
        store.end_sweep(1, "b").await.unwrap();
        assert!(store.keep_sweep(1, "a", NO_LEASE).await.unwrap(), "only the holder gives it back");
        tokio::time::sleep(Duration::from_millis(5)).await;

        let second = store.begin_sweep(1, "b", LEASE).await.unwrap().expect("the first has lapsed");
        assert!(!store.keep_sweep(1, "a", LEASE).await.unwrap());
        assert_eq!(second.listing, Some(Listing { since: 3, after: (4, 5) }));
        assert_eq!((second.begun_at, second.swept_until), (first.begun_at, 7));
        store.listed(1, "b", None).await.unwrap();
        store.end_sweep(1, "b").await.unwrap();
        assert_eq!(store.begin_sweep(1, "c", LEASE).await.unwrap().unwrap().listing, None);
        assert_eq!(store.begin_sweep(2, "d", LEASE).await.unwrap().map(|it| it.swept_until), Some(0), "another App");
    }

    async fn which_events_are_unknown_is_told_by_app(scene) {
        scene.deliver("a").await;
        let unknown = scene.store.unknown(1, &["a", "b", "c"]).await.unwrap();
        assert_eq!(unknown, ["b", "c"].into());
        assert_eq!(scene.store.unknown(2, &["a"]).await.unwrap(), ["a"].into());
        assert!(scene.store.unknown(1, &[]).await.unwrap().is_empty());
    }

    async fn only_what_was_given_up_is_taken_up_again(scene) {
        for (guid, state, again) in [("a", DeliveryState::Failed, true), ("b", DeliveryState::Done, false)] {
            scene.deliver(guid).await;
            let claimed = scene.claim(Queue::Delivery, LEASE, None).await.unwrap();
            let given = NewDelivery { delivery_id: uuid::Uuid::now_v7(), ..delivery(guid) };
            assert!(scene.store.take_up_again(&[&given]).await.unwrap().is_empty(), "it is being looked at");
            let decided = Decided { state, decision: String::new(), task_id: None };
            assert!(scene.store.decided(&claimed.lease, &decided).await.unwrap());
            let taken = scene.store.take_up_again(&[&given]).await.unwrap();
            assert_eq!(taken.contains(&given.delivery_id), again, "{guid}");
        }
        assert_eq!(scene.store.open_jobs(Queue::Delivery).await.unwrap(), 1);
    }

    async fn two_jobs_are_not_at_the_same_write_at_once(scene) {
        scene.deliver("a").await;
        scene.deliver("b").await;
        let claim = async |lease| scene.claim(Queue::Delivery, lease, None).await.unwrap().lease;
        let (first, second) = (claim(Duration::from_millis(500)).await, claim(LEASE).await);
        let intend = async |lease| scene.store.intend(&Effect { key: "k", task_id: None, lease }).await.unwrap();
        assert_eq!(intend(&first).await, Intent::New);
        assert_eq!(intend(&second).await, Intent::Elsewhere);
        super::until("the first to lapse", async || intend(&second).await == Intent::Unsure).await;
        assert_eq!(intend(&first).await, Intent::Elsewhere, "it is the other's now");
        let settle = async |lease, result| {
            let effect = Effect { key: "k", task_id: None, lease };
            scene.store.settle_effect(&effect, true, result).await.unwrap()
        };
        assert!(!settle(&first, "0").await, "whoever comes back has nothing to say");
        assert!(settle(&second, "1").await);
        assert_eq!(intend(&first).await, Intent::Done("1".to_owned()));
    }

    async fn an_effect_happens_once(scene) {
        scene.deliver("a").await;
        let claimed = scene.claim(Queue::Delivery, LEASE, None).await.unwrap();
        let effect = Effect { key: "k", task_id: None, lease: &claimed.lease };
        let refused = Effect { key: "r", ..effect.clone() };
        assert_eq!(scene.store.intend(&effect).await.unwrap(), Intent::New);
        assert_eq!(scene.store.intend(&effect).await.unwrap(), Intent::Unsure, "nobody knows how it went");
        scene.store.settle_effect(&effect, true, "42").await.unwrap();
        assert_eq!(scene.store.intend(&effect).await.unwrap(), Intent::Done("42".to_owned()));
        assert_eq!(scene.store.intend(&refused).await.unwrap(), Intent::New);
        scene.store.settle_effect(&refused, false, "locked").await.unwrap();
        assert_eq!(scene.store.intend(&refused).await.unwrap(), Intent::Refused("locked".to_owned()));
    }

    async fn a_thread_has_one_open_task(scene) {
        assert!(scene.task(1, 1).await);
        assert!(!scene.task(1, 1).await);
        assert!(scene.task(1, 2).await);
        let claimed = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap();
        scene.store.end(&claimed.lease, State::Failed).await.unwrap();
        assert!(scene.task(1, 1).await, "the first has ended");
    }

    async fn a_lane_holds_no_more_than_its_limit(scene) {
        for number in 1..=3 {
            scene.task(1, number).await;
        }
        scene.task(2, 1).await;
        let mut held = Vec::new();
        while let Some(claimed) = scene.claim(Queue::Task, LEASE, Some(2)).await {
            held.push(claimed);
        }
        assert_eq!(held.len(), 3, "two of the first repository and one of the second");
        let waiting = scene.store.claims(Queue::Task).await.unwrap().into_iter().find(|job| !job.held).unwrap();

        assert!(scene.store.request_cancel(&waiting.job_id, "bob").await.unwrap());
        let cancelled = scene.claim(Queue::Task, LEASE, Some(2)).await.expect("what is cancelled needs no room");
        assert_eq!(cancelled.cancelled_by.as_deref(), Some("bob"));
        assert_eq!(scene.store.renew(&cancelled.lease, LEASE).await.unwrap(), Renewed::Cancelled("bob".to_owned()));
        assert!(!scene.store.request_cancel("nobody", "bob").await.unwrap());
    }

    async fn deliveries_of_one_installation_leave_room_for_others(scene) {
        let of = |installation_id, n: u32| NewDelivery { installation_id, ..delivery(&format!("{installation_id:?}-{n}")) };
        let many: Vec<_> = (0..5).map(|n| of(Some(1), n)).collect();
        scene.store.accept(&many).await.unwrap();
        scene.store.accept(&[of(Some(2), 0), of(None, 0), of(None, 1), of(None, 2)]).await.unwrap();
        let mut held = Vec::new();
        while let Some(claimed) = scene.claim(Queue::Delivery, LEASE, Some(2)).await {
            held.push(claimed.lease);
        }
        let is_of_one = |it: &&Lease| many.iter().any(|one| one.delivery_id.to_string() == it.job_id);
        assert_eq!((held.len(), held.iter().filter(is_of_one).count()), (6, 2), "what has no lane is not held up");
        let done = Decided { state: DeliveryState::Done, decision: String::new(), task_id: None };
        let first = held.iter().find(is_of_one).unwrap();
        assert!(scene.store.decided(first, &done).await.unwrap());
        assert!(scene.claim(Queue::Delivery, LEASE, Some(2)).await.is_some(), "one has made room for the next");
        assert!(scene.claim(Queue::Delivery, LEASE, Some(2)).await.is_none());
    }

    async fn events_have_no_gaps(scene) {
        scene.task(1, 1).await;
        let id = scene.claim(Queue::Task, LEASE, Some(9)).await.unwrap().lease.job_id;
        let events: Vec<NewEvent> =
            (0..100).map(|n| NewEvent { kind: "text".to_owned(), body: format!("{{\"n\":{n}}}") }).collect();
        let (a, b) = tokio::join!(scene.store.append_events(&id, &events), scene.store.append_events(&id, &events));
        a.and(b).unwrap();
        let seen: Vec<i64> = scene.store.events(&id, 0, 1000).await.unwrap().iter().map(|it| it.seq).collect();
        assert_eq!(seen, (1..=200).collect::<Vec<_>>());
        assert_eq!(scene.store.events(&id, 198, 1000).await.unwrap().len(), 2);
    }
}
