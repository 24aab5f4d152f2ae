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
    for hand in crew.iter_mut() {
        hand.start(&world);
    }
    let started = Instant::now();
    let (mut chance, until) = (random.branch(), started + plan.time);
    let (sent, kills) = tokio::join!(
        deliver(&world, guids, &mut random, plan.time),
        kill_at_random(&world, &mut crew, &mut chance, until)
    );
    let (mut sent, lost) = sent;
    sent += deliver_until_taken(&world, &mut crew, lost).await;
    settle(&world, &mut crew, PATIENCE * plan.deliveries as u32 + Duration::from_mins(1)).await;

    let endings = verdict(&world, &mentions, unique).await;
    println!(
        "{sent} deliveries of {unique} events, {} of them mentions; {kills} kills; {endings}; {} s; seed {}",
        mentions.len(),
        started.elapsed().as_secs(),
        plan.seed
    );
    world.told();
}

/// A world on PostgreSQL with several repositories and a GitHub that does not mind haste.
async fn world() -> World {
    let haste = Options { content_budget: (1_000_000, 1_000_000), primary_limit: 1_000_000, ..Options::default() };
    let mut world = World::beside(Database::postgres(), GitHub::start_with(haste).await).await;
    world.store().migrate().await.unwrap();
    // What the bot does causes deliveries too, which it ignores; here only what people do is counted.
    world.github.side_effects(false);
    world.set("RUNS", "4");
    world.set("RUNS_PER_REPOSITORY", "4");
    // Killed again and again, a task may need some more time than usual.
    world.set("LEASE", "3s");
    world.claude_will("case \"$PROMPT\" in *'change it'*) echo hello, world > README.md ;; esac");
    world
}

/// Send everything in bursts over the time that there is. How many were sent, and what nobody took.
async fn deliver(world: &World, guids: Vec<String>, random: &mut Random, time: Duration) -> (usize, Vec<String>) {
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
    (sent, taken.into_iter().filter(|it| !it.1).map(|it| it.0).collect())
}

/// What found nobody at home is sent again, as by the button in the App's settings.
async fn deliver_until_taken(world: &World, crew: &mut [Hand], mut lost: Vec<String>) -> usize {
    let (mut sent, started) = (0, Instant::now());
    while !lost.is_empty() {
        assert!(started.elapsed() < Duration::from_mins(1), "nobody takes deliveries: {:?}", world.log());
        for hand in crew.iter_mut() {
            hand.start(world);
        }
        let mut still = Vec::new();
        for guid in lost {
            sent += 1;
            if world.github.redeliver(&guid).await / 100 != 2 {
                still.push(guid);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        lost = still;
    }
    sent
}

/// Kill one of them every few seconds; all are there in the end. How often.
async fn kill_at_random(world: &World, crew: &mut [Hand], random: &mut Random, until: Instant) -> usize {
    let mut kills = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(random.between(500, 4_000))).await;
        if Instant::now() >= until {
            for hand in crew.iter_mut() {
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

/// Wait until nothing is open.
async fn settle(world: &World, crew: &mut [Hand], patience: Duration) {
    let started = Instant::now();
    loop {
        let open = (world.store().open_jobs(Queue::Delivery).await, world.store().open_jobs(Queue::Task).await);
        if matches!(open, (Ok(0), Ok(0))) {
            return;
        }
        assert!(started.elapsed() < patience, "after {patience:?} there are still open jobs: {open:?}");
        for hand in crew.iter_mut() {
            assert_eq!(hand.ended(), None, "a process has ended by itself");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
