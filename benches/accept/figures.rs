//! Many values of one figure, and how they are shown.

use std::time::Duration;

/// Values of one figure, one a round.
#[derive(Default, Clone)]
pub struct Figure(Vec<f64>);

impl Figure {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut it = Self(values.into_iter().collect());
        it.0.sort_by(f64::total_cmp);
        it
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.0.iter().copied()
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which this part of all values lies.
    pub fn quantile(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// `min / median / max`.
    pub fn spread(&self, digits: usize) -> String {
        format!("{:.digits$} / {:.digits$} / {:.digits$}", self.min(), self.median(), self.max())
    }

    /// `p50 / p99 / max`.
    pub fn tail(&self, digits: usize) -> String {
        format!("{:.digits$} / {:.digits$} / {:.digits$}", self.median(), self.quantile(0.99), self.max())
    }
}

pub fn millis(it: Duration) -> f64 {
    it.as_secs_f64() * 1e3
}

pub fn micros(it: Duration) -> f64 {
    it.as_secs_f64() * 1e6
}

pub fn heading(text: &str) {
    println!("\n## {text}\n");
}
