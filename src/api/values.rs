//! What callers give in a query: described and held to its bounds in one place, so that the two can't differ.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::task::State;
use crate::text;

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const LEAST: i64, const MOST: i64>(pub i64);

/// Items of one answer.
pub type Limit = Whole<1, 200>;
/// A moment in UTC milliseconds, until the end of the year 9999.
pub type Moment = Whole<0, 253_402_300_799_999>;
/// How many of something, or where in a list: what every client's numbers can hold.
pub type Count = Whole<0, 9_007_199_254_740_991>;

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Whole<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        // Two kinds of mistake, one thing to do about them.
        let says = || format!("give a whole number from {LEAST} to {MOST}");
        let number = i64::deserialize(given).map_err(|_| D::Error::custom(says()))?;
        match (LEAST..=MOST).contains(&number) {
            true => Ok(Self(number)),
            false => Err(D::Error::custom(says())),
        }
    }
}

impl<const LEAST: i64, const MOST: i64> PartialSchema for Whole<LEAST, MOST> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(LEAST as isize))
            .maximum(Some(MOST as isize))
            .into()
    }
}

impl<const LEAST: i64, const MOST: i64> ToSchema for Whole<LEAST, MOST> {}

/// How many of a page, where nothing else was asked for.
pub fn page(limit: Option<Limit>, usual: i64) -> i64 {
    limit.map_or(usual, |it| it.0)
}

/// The status of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskStatus(pub State);

impl<'de> Deserialize<'de> for TaskStatus {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        let name = String::deserialize(given)?;
        let all = || State::ALL.map(State::name).join(", ");
        let says = || D::Error::custom(format!("`{}` is none of {}", text::line(&name, 40), all()));
        State::named(&name).map(Self).ok_or_else(says)
    }
}

impl PartialSchema for TaskStatus {
    fn schema() -> RefOr<Schema> {
        let all = State::ALL.map(State::name);
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(all)).into()
    }
}

impl ToSchema for TaskStatus {}

/// What asks for tasks, by the names that the store has for it.
pub const SOURCES: [&str; 8] = ["comment", "opened", "labeled", "review_comment", "review", "pull", "button", "api"];

/// What asked for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSource(pub &'static str);

impl<'de> Deserialize<'de> for TaskSource {
    fn deserialize<D: Deserializer<'de>>(given: D) -> Result<Self, D::Error> {
        let name = String::deserialize(given)?;
        let says = || D::Error::custom(format!("`{}` is none of {}", text::line(&name, 40), SOURCES.join(", ")));
        SOURCES.into_iter().find(|it| *it == name).map(Self).ok_or_else(says)
    }
}

impl PartialSchema for TaskSource {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).enum_values(Some(SOURCES)).into()
    }
}

impl ToSchema for TaskSource {}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_described_is_what_is_taken() {
        let described = serde_json::to_value(Limit::schema()).unwrap_or_default();
        assert_eq!(described, json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 200 }));
        for (given, taken) in [(0, false), (1, true), (200, true), (201, false)] {
            assert_eq!(serde_json::from_value::<Limit>(json!(given)).is_ok(), taken, "{given}");
        }
        let described = serde_json::to_value(TaskStatus::schema()).unwrap_or_default();
        for word in described["enum"].as_array().into_iter().flatten().filter_map(|it| it.as_str()) {
            let given: StrDeserializer<'_, Error> = word.into_deserializer();
            assert_eq!(TaskStatus::deserialize(given).map(|it| it.0.name()).as_deref(), Ok(word));
        }
    }
}
