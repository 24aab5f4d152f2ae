//! When it is too much: caps on what one thread, bots, and one person make in an hour. Beyond them a loop is likelier than
//! a need, and each turn of it costs money.

/// Tasks within an hour, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// On one issue or pull request, whoever asks.
    pub thread: u32,
    /// On one issue or pull request, of those that bots cause: their pushes, and ours.
    pub bots: u32,
    /// In words, labels and clicks of one person, everywhere.
    pub person: u32,
}

/// Tasks that were made within the last hour, or since somebody resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub thread: u32,
    pub bots: u32,
    pub person: u32,
}

/// Why the breaker of a thread is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tripped {
    /// Too much altogether: nothing begins there.
    Thread,
    /// Too much by bots: only what they cause does not begin.
    Bots,
}

impl Tripped {
    /// The word in the database and in the template.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Bots => "bots",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Thread, Self::Bots].into_iter().find(|it| it.name() == name)
    }

    /// Whether it keeps a task from being made.
    pub fn stops(self, by_bot: bool) -> bool {
        self == Self::Thread || by_bot
    }
}

/// Who causes a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A person has asked for it.
    Asked,
    /// A person has pushed, and the settings ask for a review.
    Pushed,
    /// A bot has done either.
    Bot,
}

/// Whether another task may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    Fine,
    /// The thread's breaker opens.
    Trips(Tripped),
    /// The person has to wait; that heals by itself.
    TooMuchOfOne,
}

/// Decide on one task more.
pub fn weigh(caps: Caps, tally: Tally, cause: Cause) -> Weighed {
    if tally.thread >= caps.thread {
        return Weighed::Trips(Tripped::Thread);
    }
    match cause {
        Cause::Bot if tally.bots >= caps.bots => Weighed::Trips(Tripped::Bots),
        Cause::Asked if tally.person >= caps.person => Weighed::TooMuchOfOne,
        _ => Weighed::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold() {
        use Cause::{Asked, Bot, Pushed};
        use Weighed::{Fine, TooMuchOfOne, Trips};
        let caps = Caps { thread: 10, bots: 5, person: 30 };
        for (thread, bots, person, cause, expected) in [
            (0, 0, 0, Asked, Fine),
            (9, 0, 29, Asked, Fine),
            (10, 0, 10, Asked, Trips(Tripped::Thread)),
            (10, 0, 0, Pushed, Trips(Tripped::Thread)),
            (10, 5, 0, Bot, Trips(Tripped::Thread)),
            (5, 4, 0, Bot, Fine),
            (5, 5, 0, Bot, Trips(Tripped::Bots)),
            (5, 5, 0, Asked, Fine),
            (5, 5, 0, Pushed, Fine),
            (1, 0, 30, Asked, TooMuchOfOne),
            (1, 0, 30, Pushed, Fine),
            (1, 0, 30, Bot, Fine),
        ] {
            let tally = Tally { thread, bots, person };
            assert_eq!(weigh(caps, tally, cause), expected, "{tally:?} {cause:?}");
        }
    }

    #[test]
    fn an_open_breaker_stops_what_it_is_about() {
        for (why, by_bot, stops) in [
            (Tripped::Thread, true, true),
            (Tripped::Thread, false, true),
            (Tripped::Bots, true, true),
            (Tripped::Bots, false, false),
        ] {
            assert_eq!(why.stops(by_bot), stops, "{why:?} {by_bot}");
            assert_eq!(Tripped::named(why.name()), Some(why));
        }
    }
}
