//! Conditions that may or may not be there, with the values they bind.

use sqlx::query::{Query, QueryScalar};
use sqlx::{Any, Database};

type Arguments = <Any as Database>::Arguments;

/// The `where` of a query, put together.
#[derive(Debug, Default)]
pub(super) struct Filter {
    conditions: Vec<String>,
    values: Vec<Value>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Number(i64),
}

impl Filter {
    /// `?` in the condition stands for the value.
    pub fn text(&mut self, condition: &str, value: impl Into<String>) {
        self.add(condition, Value::Text(value.into()));
    }

    pub fn number(&mut self, condition: &str, value: i64) {
        self.add(condition, Value::Number(value));
    }

    /// A condition without a value.
    pub fn so(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// The expression is one of these; of no values, nothing is.
    pub fn one_of(&mut self, expression: &str, values: &[String]) {
        self.either(("", &[]), (expression, values));
    }

    /// One of two expressions is one of its values; of no values at all, nothing is.
    pub fn either(&mut self, numbers: (&str, &[i64]), texts: (&str, &[String])) {
        let mut either = Vec::new();
        if !numbers.1.is_empty() {
            either.push(self.is_in(numbers.0, numbers.1.iter().copied().map(Value::Number)));
        }
        if !texts.1.is_empty() {
            either.push(self.is_in(texts.0, texts.1.iter().cloned().map(Value::Text)));
        }
        self.conditions.push(if either.is_empty() { "1 = 0".to_owned() } else { format!("({})", either.join(" or ")) });
    }

    fn is_in(&mut self, expression: &str, values: impl Iterator<Item = Value>) -> String {
        let from = self.values.len();
        self.values.extend(values);
        let names: Vec<String> = (from + 1..=self.values.len()).map(|n| format!("${n}")).collect();
        format!("{expression} in ({})", names.join(", "))
    }

    /// What comes after `(at, id)` in a list that is newest first.
    pub fn older(&mut self, time: &str, at: i64, key: &str, id: &str) {
        let from = self.values.len();
        self.values.extend([Value::Number(at), Value::Text(id.to_owned())]);
        let (at, id) = (from + 1, from + 2);
        // The first half is what an index is searched by.
        self.conditions.push(format!("{time} <= ${at} and ({time} < ${at} or {key} < ${id})"));
    }

    fn add(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        self.conditions.push(condition.replace('?', &format!("${}", self.values.len())));
    }

    /// `where …`, or nothing.
    pub fn sql(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("where {}", self.conditions.join(" and ")) }
    }

    pub fn bind<'q>(&self, mut query: Query<'q, Any, Arguments>) -> Query<'q, Any, Arguments> {
        for value in &self.values {
            query = match value {
                Value::Text(text) => query.bind(text.clone()),
                Value::Number(number) => query.bind(*number),
            };
        }
        query
    }

    pub fn bind_scalar<'q, T>(
        &self,
        mut query: QueryScalar<'q, Any, T, Arguments>,
    ) -> QueryScalar<'q, Any, T, Arguments> {
        for value in &self.values {
            query = match value {
                Value::Text(text) => query.bind(text.clone()),
                Value::Number(number) => query.bind(*number),
            };
        }
        query
    }
}
