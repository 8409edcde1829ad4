//! One line of results.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// Named figures, in the order in which they are shown.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub bench: &'static str,
    /// What was set and what came out.
    pub fields: Vec<(&'static str, Value)>,
}

impl Row {
    /// A row of a case.
    pub fn new(bench: &'static str) -> Self {
        Self { bench, fields: Vec::new() }
    }

    /// With something that was set, or counted.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// With something measured, to four significant digits.
    #[must_use]
    pub fn measured(self, name: &'static str, value: f64) -> Self {
        self.with(name, significant(value))
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.fields.iter().find(|(other, _)| *other == name).and_then(|(_, value)| value.as_f64())
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.fields.len()))?;
        map.serialize_entry("bench", self.bench)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_matter() {
        assert!((significant(0.123_456) - 0.1235).abs() < 1e-12);
        assert!((significant(123_456.0) - 123_500.0).abs() < 1e-6);
        assert!(significant(0.0).abs() < 1e-12);
    }

    #[test]
    fn a_row_is_flat() {
        let row = Row::new("decap").with("keys", 1000).measured("ratio", 0.5);
        let text = serde_json::to_string(&row).unwrap();
        assert_eq!(text, r#"{"bench":"decap","keys":1000,"ratio":0.5}"#);
    }
}
