//! What an operator writes: read back as it is shown.

use cloud_agent::config::{Dollars, Span};
use cloud_agent::gateway::price::{Prices, Tokens};

use super::text;

pub fn holds(data: &[u8]) {
    let text = text(data);
    if let Ok(span) = text.parse::<Span>() {
        assert!(!span.0.is_zero());
        assert_eq!(span.to_string().parse(), Ok(span), "{text}");
    }
    if let Ok(dollars) = text.parse::<Dollars>() {
        assert!((0..=1_000_000_000_000_000).contains(&dollars.micros), "{text}: {}", dollars.micros);
        let _ = dollars.to_string();
    }
    if let Ok(prices) = text.parse::<Prices>() {
        assert_eq!(prices.to_string().parse(), Ok(prices.clone()), "{text}");
        for model in ["claude-opus-5-5", "claude-of-tomorrow", text.as_str()] {
            let some = Tokens { input: 1_000, output: 1_000, cache_read: 1_000, cache_write: 1, cache_write_1h: 1 };
            let most = Tokens {
                input: u64::MAX,
                output: u64::MAX,
                cache_read: u64::MAX,
                cache_write: u64::MAX,
                cache_write_1h: u64::MAX,
            };
            let rate = prices.of(model);
            assert!((0..=rate.cost(&most)).contains(&rate.cost(&some)), "{text}: {model} has a price");
        }
    }
}
