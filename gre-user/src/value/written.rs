//! Values in files: what the command line takes as text may be a number there.

use std::{
    fmt::{self, Display, Formatter},
    marker::PhantomData,
    str::FromStr,
};

use serde::{
    Deserializer, Serializer,
    de::{Error, Visitor},
};

/// Reads a number or text as the command line would.
pub(super) fn read<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    from: D,
) -> Result<T, D::Error> {
    from.deserialize_any(Written(PhantomData))
}

/// Writes a number where the text is one.
pub(super) fn write<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    let text = value.to_string();
    match text.parse() {
        Ok(number) => to.serialize_i64(number),
        Err(_) => to.serialize_str(&text),
    }
}

struct Written<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a string")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|cause| E::custom(format!("invalid value {text:?}: {cause}")))
    }
}

/// Has values be read and written as the functions here do.
macro_rules! as_text_or_number {
    ($($value:ty),*) => {$(
        impl serde::Serialize for $value {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::value::written::write(self, to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $value {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::value::written::read(from)
            }
        }
    )*};
}
pub(super) use as_text_or_number;
