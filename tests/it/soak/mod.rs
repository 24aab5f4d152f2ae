//! The soak: deliveries with duplicates, out of order and in bursts, while the processes that work on them are killed and
//! come back. In the end every mention has one finished task. `script/soak` runs the long form.

mod people;
mod random;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cloud_agent::store::Queue;
use futures::future::join_all;
use simulator::GitHub;
use simulator::github::Options;

use crate::world::{Database, Hand, World};
use people::verdict;
use random::Random;

/// How much of it.
struct Plan {
    time: Duration,
    deliveries: usize,
    seed: u64,
}

impl Plan {
    /// What `script/soak` asks for, or the short form.
    fn asked() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|it| it.parse::<u64>().unwrap());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        Self {
            time: Duration::from_secs(number("SOAK_SECONDS").unwrap_or(15)),
            deliveries: number("SOAK_DELIVERIES").unwrap_or(300) as usize,
            seed: number("SOAK_SEED").unwrap_or(now as u64),
        }
    }
}

/// Of ten deliveries, so many are mentions, and so many are other talk; the rest are repeated.
const MENTIONS: usize = 3;
const TALK: usize = 2;
const REPOSITORIES: usize = 6;
/// Deliveries that come at the same moment.
const BURST: u64 = 25;
/// What the sweep of GitHub's own list brought before any delivery did.
const SWEPT: &str =
    "select count(*) from late join delivery on delivery.delivery_id = late.delivery_id where source = 'pulled'";
/// Most time for what is open when the killing ends, for each delivery.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_mention_has_one_finished_task_however_often_workers_die() {
    let plan = Plan::asked();
    println!("SOAK_SEED={}", plan.seed);
    let mut random = Random::new(plan.seed);
    let world = world().await;
    let (mentions, mut guids) =
        people::talk(&world, plan.deliveries * MENTIONS / 10, plan.deliveries * TALK / 10).await;
    let unique = guids.len();
    while guids.len() < plan.deliveries {
        guids.push(random.one_of(&guids[..unique]).clone());
    }
    random.shuffle(&mut guids);

    let mut crew = [world.hand("serve", "one"), world.hand("work", "two"), world.hand("work", "three")];
    for hand in &mut crew {
        hand.start(&world);
    }
    let started = Instant::now();
    let (mut chance, until) = (random.branch(), started + plan.time);
    let (sent, kills) = tokio::join!(
        deliver(&world, guids, &mut random, plan.time),
        kill_at_random(&world, &mut crew, &mut chance, until)
    );
    let (sent, lost) = sent;
    // A process that dies while it looks for what was missed keeps the others from it for a minute.
    world.sql("update sweep set owned_until = 0").await;
    let patience = PATIENCE * plan.deliveries as u32 + Duration::from_mins(1);
    settle(&world, &mut crew, unique, patience).await;

    let endings = verdict(&world, &mentions, unique).await;
    let swept = world.sql(SWEPT).await;
    println!(
        "{sent} deliveries of {unique} events, {} of them mentions; {lost} events found nobody at home, and the sweep \
         fetched {swept}; {kills} kills; {endings}; {} s; seed {}",
        mentions.len(),
        started.elapsed().as_secs(),
        plan.seed
    );
    world.told();
}

/// A world on PostgreSQL with several repositories and a GitHub that does not mind haste.
async fn world() -> World {
    // Without the headers the bot takes it for a host that has no limits.
    let haste = Options {
        content_budget: (1_000_000, 1_000_000),
        primary_limit: 1_000_000,
        rate_limit_headers: false,
        ..Options::default()
    };
    let mut world = World::beside(Database::postgres(), GitHub::start_with(haste).await).await;
    world.store().migrate().await.unwrap();
    // What the bot does causes deliveries too, which it ignores; here only what people do is counted.
    world.github.side_effects(false);
    world.set("RUNS", "4");
    world.set("RUNS_PER_REPOSITORY", "4");
    // A few people ask for all of it, within minutes.
    for limit in ["TASKS_PER_THREAD_HOUR", "BOT_TASKS_PER_THREAD_HOUR", "TASKS_PER_PERSON_HOUR"] {
        world.set(limit, "1000000");
    }
    // Nothing else brings what came while nobody was at home.
    world.set("SWEEP_INTERVAL", "2s");
    // Killed again and again, a task may need some more time than usual.
    world.set("LEASE", "3s");
    world.claude_will("case \"$PROMPT\" in *'change it'*) echo hello, world > README.md ;; esac");
    world
}

/// Send everything in bursts over the time that there is. How many were sent, and how many events nobody took.
async fn deliver(world: &World, guids: Vec<String>, random: &mut Random, time: Duration) -> (usize, usize) {
    let mut taken: HashMap<String, bool> = guids.iter().map(|it| (it.clone(), false)).collect();
    let bursts = guids.len() as u64 / (BURST / 2) + 1;
    let pause = time.as_millis() as u64 / bursts;
    let (mut rest, mut sent) = (guids.as_slice(), 0);
    while !rest.is_empty() {
        let (burst, later) = rest.split_at(rest.len().min(random.between(1, BURST) as usize));
        rest = later;
        let statuses = join_all(burst.iter().map(|guid| async move {
            // Now and then the same one several times at the same moment.
            let once = world.github.redeliver(guid);
            let more = world.github.redeliver_many(guid, if guid.starts_with(['0', '1']) { 2 } else { 0 });
            let (once, more) = tokio::join!(once, more);
            (guid, more.len() + 1, once / 100 == 2 || more.iter().any(|it| it / 100 == 2))
        }));
        for (guid, times, accepted) in statuses.await {
            sent += times;
            *taken.get_mut(guid).unwrap() |= accepted;
        }
        tokio::time::sleep(Duration::from_millis(random.between(0, 2 * pause + 1))).await;
    }
    (sent, taken.values().filter(|it| !**it).count())
}

/// Kill one of them every few seconds; all are there in the end. How often.
async fn kill_at_random(world: &World, crew: &mut [Hand], random: &mut Random, until: Instant) -> usize {
    let mut kills = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(500, 4_000))).await;
        if Instant::now() >= until {
            for hand in &mut *crew {
                hand.start(world);
            }
            return kills;
        }
        let at = random.between(0, crew.len() as u64) as usize;
        crew[at].kill();
        kills += 1;
        tokio::time::sleep(Duration::from_millis(random.between(0, 1_500))).await;
        crew[at].start(world);
    }
}

/// Wait until every event is known and nothing is open.
async fn settle(world: &World, crew: &mut [Hand], unique: usize, patience: Duration) {
    let started = Instant::now();
    loop {
        let known = world.sql("select count(*) from delivery").await;
        let open = (world.store().open_jobs(Queue::Delivery).await, world.store().open_jobs(Queue::Task).await);
        if known == unique as i64 && matches!(open, (Ok(0), Ok(0))) {
            return;
        }
        let at = format!("{known} of {unique} events are known, and there are open jobs: {open:?}");
        assert!(started.elapsed() < patience, "after {patience:?} {at}\n{}", world.log());
        for hand in crew.iter_mut() {
            assert_eq!(hand.ended(), None, "a process has ended by itself");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
