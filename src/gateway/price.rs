//! What tokens cost, in micro-dollars, by model family.

use std::fmt;
use std::str::FromStr;

/// Prices by model family. A price is written in US dollars per million tokens, as the price list does, which is the
/// same number as micro-dollars per token.
///
/// The defaults are Anthropic's list prices for the families. Discounts, other providers and newer models differ: the
/// setting `MODEL_PRICES` (`family=input/output,…`) replaces or adds single rows, such as `opus=4/20,sonnet-5-5=2/10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// A part of the model's id; where several rows fit, the longest wins.
    family: String,
    rate: Rate,
}

/// The price of one token, in thousandths of a micro-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    input: u32,
    output: u32,
}

/// What one answer used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read at the full price.
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    /// Written to the cache for five minutes.
    pub cache_write: u64,
    /// Written to the cache for an hour.
    pub cache_write_1h: u64,
}

// Multiples of the input price, in percent (https://docs.claude.com/en/docs/build-with-claude/prompt-caching#pricing).
const FULL: i128 = 100;
const CACHE_READ: i128 = 10;
const CACHE_WRITE: i128 = 125;
const CACHE_WRITE_1H: i128 = 200;

impl Prices {
    /// The price of this model; the dearest of all for a model that nobody has priced, so that a budget still holds.
    pub fn of(&self, model: &str) -> Rate {
        let model = model.to_ascii_lowercase();
        let fits = self.rows.iter().filter(|row| model.contains(&row.family));
        fits.max_by_key(|row| row.family.len()).map_or_else(|| self.dearest(), |row| row.rate)
    }

    fn dearest(&self) -> Rate {
        let input = self.rows.iter().map(|row| row.rate.input).max().unwrap_or_default();
        let output = self.rows.iter().map(|row| row.rate.output).max().unwrap_or_default();
        Rate { input, output }
    }
}

impl Rate {
    /// Micro-dollars, rounded up.
    pub fn cost(self, tokens: &Tokens) -> i64 {
        let input = i128::from(tokens.input) * FULL
            + i128::from(tokens.cache_read) * CACHE_READ
            + i128::from(tokens.cache_write) * CACHE_WRITE
            + i128::from(tokens.cache_write_1h) * CACHE_WRITE_1H;
        let sum = input * i128::from(self.input) + i128::from(tokens.output) * FULL * i128::from(self.output);
        i64::try_from((sum + 99_999) / 100_000).unwrap_or(i64::MAX)
    }
}

impl Default for Prices {
    fn default() -> Self {
        let row = |family: &str, input, output| Row { family: family.to_owned(), rate: Rate { input, output } };
        // The families' long-standing prices, and those that Claude Code 2.1.328 itself counts with for the present models.
        let rows = [
            row("opus", 5_000, 25_000),
            row("sonnet", 3_000, 15_000),
            row("haiku", 1_000, 5_000),
            row("opus-5-5", 4_000, 20_000),
            row("sonnet-5-5", 2_000, 10_000),
            row("haiku-5-5", 100, 500),
        ];
        Self { rows: rows.into() }
    }
}

impl FromStr for Prices {
    type Err = String;

    /// The default prices with these rows put over them. An empty text changes nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut prices = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let row = row(entry)
                .ok_or_else(|| format!("`{entry}` is no price; write family=input/output, such as opus=5/25"))?;
            // Also the single models of a family: whoever prices the family means all of it.
            prices.rows.retain(|old| !old.family.contains(&row.family));
            prices.rows.push(row);
        }
        Ok(prices)
    }
}

fn row(entry: &str) -> Option<Row> {
    let (family, rate) = entry.split_once('=')?;
    let (input, output) = rate.split_once('/')?;
    let family = family.trim().to_ascii_lowercase();
    (!family.is_empty())
        .then_some(Row { family, rate: Rate { input: thousandths(input)?, output: thousandths(output)? } })
}

fn thousandths(dollars: &str) -> Option<u32> {
    let dollars: f64 = dollars.trim().trim_start_matches('$').parse().ok()?;
    // Beyond this nobody sells tokens, and the sums above can't overflow.
    (dollars.is_finite() && (0.0..=100_000.0).contains(&dollars)).then(|| (dollars * 1000.0).round() as u32)
}

impl fmt::Display for Prices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Row { family, rate }) in self.rows.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let dollars = |thousandths| f64::from(thousandths) / 1000.0;
            write!(f, "{comma}{family}={}/{}", dollars(rate.input), dollars(rate.output))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    fn check(prices: &str, model: &str, tokens: Tokens, micros: i64) {
        let prices: Prices = prices.parse().unwrap();
        assert_eq!(prices.of(model).cost(&tokens), micros, "{model} at {prices}");
    }

    #[test]
    fn tokens_cost_what_the_list_says() {
        let million = Tokens { input: 1_000_000, output: 1_000_000, ..Tokens::default() };
        check("", "claude-opus-4-5", million, 30_000_000);
        check("", "claude-opus-5-5", million, 24_000_000);
        check("", "claude-sonnet-4-5", million, 18_000_000);
        check("", "claude-haiku-5-5", million, 600_000);
        check("", "claude-unheard-of", million, 30_000_000);
        let cached = Tokens { cache_read: 1000, cache_write: 1000, cache_write_1h: 1000, ..Tokens::default() };
        check("", "claude-sonnet-4-5", cached, 300 + 3750 + 6000);
        // A fraction of a micro-dollar is never lost to rounding.
        check("", "claude-haiku-5-5", Tokens { cache_read: 1, ..Tokens::default() }, 1);
    }

    #[test]
    fn settings_replace_and_add_rows_and_the_longest_name_wins() {
        let one = Tokens { input: 1000, ..Tokens::default() };
        check("opus=4/20", "claude-opus-5-5", one, 4000);
        check("sonnet-5-5 = 2/10, new=0.25/1.25", "claude-sonnet-5-5", one, 2000);
        check("sonnet-5-5=2/10", "claude-sonnet-4-5", one, 3000);
        check("new=0.25/1.25", "claude-new-1", one, 250);
        assert_eq!(
            "haiku=0.1/0.5".parse::<Prices>().unwrap().to_string(),
            "opus=5/25,sonnet=3/15,opus-5-5=4/20,sonnet-5-5=2/10,haiku=0.1/0.5"
        );
        for wrong in ["opus", "opus=5", "=1/2", "opus=a/b", "opus=-1/2", "opus=NaN/2"] {
            assert!(wrong.parse::<Prices>().is_err(), "{wrong}");
        }
    }
}
