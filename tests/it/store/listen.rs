//! The connection that hears wake-ups, when the network under it goes without a word.

use std::time::Duration;

use cloud_agent::store::{self, Queue};

use super::Scene;
use crate::world::{Database, Proxy};

const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fell_silent_is_noticed_and_made_anew() {
    let database = Database::postgres();
    let Database::Postgres(server, _) = &database else { unreachable!() };
    let proxy = Proxy::before(&server.socket(), "postgres").await;
    let scene = Scene::on(database).await;
    let wakes = store::Wakes::default();
    let listening = tokio::spawn(store::listen(proxy.url().to_owned().into(), wakes.clone()));
    let rings = async |what: &str| {
        let rung = tokio::time::timeout(PATIENCE, wakes.woken(Queue::Delivery)).await;
        assert!(rung.is_ok(), "waited in vain for {what}");
    };
    rings("the first look").await;
    assert!(scene.deliver("a").await);
    rings("what another process says").await;

    // Neither side hears that the other is gone.
    proxy.fall_silent();
    assert!(scene.deliver("b").await);
    rings("the look at what was not heard").await;
    assert!(scene.deliver("c").await);
    rings("what is said over the new connection").await;
    listening.abort();
}
