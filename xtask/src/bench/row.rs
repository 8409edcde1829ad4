//! One line of results.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::Value;

/// Named figures, in the order in which they are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The case.
    pub bench: Name,
    /// What was set and what came out.
    pub fields: Vec<(Name, Value)>,
}

/// Of a case or a field: in the code here, or in a file of an earlier run.
pub type Name = Cow<'static, str>;

impl Row {
    /// A row of a case.
    pub fn new(bench: &'static str) -> Self {
        Self { bench: bench.into(), fields: Vec::new() }
    }

    /// With something that was set, or counted.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With something measured, to four significant digits.
    #[must_use]
    pub fn measured(self, name: &'static str, value: f64) -> Self {
        self.with(name, significant(value))
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    /// A field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.fields.len()))?;
        map.serialize_entry("bench", &self.bench)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Keeps the order of the fields.
impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row: a flat object that begins with `bench`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let Some((key, Value::String(bench))) = map.next_entry::<String, Value>()? else {
                    return Err(A::Error::custom("a row without `bench`"));
                };
                if key != "bench" {
                    return Err(A::Error::custom("a row that does not begin with `bench`"));
                }
                let mut row = Row { bench: bench.into(), fields: Vec::new() };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    row.fields.push((name.into(), value));
                }
                Ok(row)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// To four digits.
pub fn significant(value: f64) -> f64 {
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
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
    }
}
