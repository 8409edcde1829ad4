//! Measurements that take turns, so that what disturbs the machine disturbs all of them.

use anyhow::Result;

/// Figures of one candidate, one for each round.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

/// Measures every candidate once a round.
pub fn interleave<C>(
    candidates: &[C],
    runs: u32,
    mut measure: impl FnMut(&C) -> Result<f64>,
) -> Result<Vec<Series>> {
    let mut series = vec![Series::default(); candidates.len()];
    for _ in 0..runs {
        for (candidate, series) in candidates.iter().zip(&mut series) {
            series.0.push(measure(candidate)?);
        }
    }
    Ok(series)
}

impl Series {
    /// Adds the figure of a round.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The figure in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// Spread: standard deviation over mean.
    pub fn cv(&self) -> f64 {
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        let variance = self.0.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        variance.sqrt() / mean.abs()
    }

    /// Figures made of those of two candidates, round by round.
    pub fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(&a, &b)| combine(a, b)).collect())
    }

    /// How many times the other's figures these are, round by round.
    pub fn over(&self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread() {
        let odd = Series(vec![3.0, 1.0, 2.0]);
        assert!((odd.median() - 2.0).abs() < 1e-9);
        let even = Series(vec![4.0, 1.0, 2.0, 3.0]);
        assert!((even.median() - 2.5).abs() < 1e-9);
        assert!(Series(vec![5.0; 4]).cv().abs() < 1e-9);
        assert!((Series(vec![1.0, 3.0]).cv() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let (fast, slow) = (Series(vec![2.0, 4.0, 6.0]), Series(vec![1.0, 2.0, 3.0]));
        assert!((fast.over(&slow).median() - 2.0).abs() < 1e-9);
        assert!(fast.over(&slow).cv().abs() < 1e-9);
    }
}
