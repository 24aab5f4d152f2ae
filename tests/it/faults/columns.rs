//! The columns: what can go wrong with one request to GitHub.

use std::time::Duration;

use simulator::github::Fault;

use super::routes::Route;
use crate::world::World;

/// One kind of trouble.
#[derive(Clone)]
pub struct Trouble {
    pub name: &'static str,
    fault: Fault,
    /// Passing trouble is met once; a refusal is met for as long as the story goes on.
    lasts: bool,
    /// Whether the request took effect all the same, which makes no difference to one that only reads.
    pub applied: bool,
}

/// All of them, in the order of the table.
pub fn columns() -> Vec<Trouble> {
    let once = |name, fault| Trouble { name, fault, lasts: false, applied: false };
    let applied = |name, fault| Trouble { name, fault, lasts: false, applied: true };
    let lasting = |name, status| Trouble { name, fault: Fault::Status(status), lasts: true, applied: false };
    vec![
        once("500", Fault::Status(500)),
        applied("502, done", Fault::BadGatewayAfterApply),
        once("hang", Fault::Hang(Duration::from_secs(20))),
        applied("reset, done", Fault::ResetAfterApply),
        once("401", Fault::BadCredentials),
        once("slower, 2 s", Fault::SecondaryLimit { retry_after: Some(2) }),
        once("slower", Fault::SecondaryLimit { retry_after: None }),
        once("limit", Fault::PrimaryLimit { reset_in: 3600 }),
        lasting("404", 404),
        lasting("422", 422),
    ]
}

impl Trouble {
    /// Let the route meet it.
    pub fn strike(&self, world: &World, route: &Route) {
        let times = if self.lasts { usize::MAX } else { 1 };
        let faults = world.github.faults().on(route.method, route.path).after(route.nth).times(times);
        faults.answer(self.fault.clone());
    }
}
