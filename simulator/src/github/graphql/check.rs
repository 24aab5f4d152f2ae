//! What GitHub refuses before it runs anything: fields, arguments, fragments and variables that do not fit the schema.

use std::collections::BTreeSet;

use async_graphql_parser::types::{
    BaseType, ExecutableDocument, Field, InputValueDefinition, OperationDefinition, OperationType, Selection,
    SelectionSet, Type,
};
use async_graphql_parser::{Pos, Positioned};
use async_graphql_value::Value as Literal;
use serde_json::{Map, Value, json};

use super::schema::{Schema, named};

/// Looks at one operation and collects everything that is wrong with it.
pub(super) struct Check<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    used: BTreeSet<String>,
    spread: BTreeSet<String>,
    pub errors: Vec<Value>,
}

pub(super) fn root(operation: &OperationDefinition) -> &'static str {
    if operation.ty == OperationType::Mutation { "Mutation" } else { "Query" }
}

impl<'a> Check<'a> {
    pub fn of(document: &'a ExecutableDocument, operation: &'a OperationDefinition) -> Self {
        let mut check =
            Self { document, operation, used: BTreeSet::new(), spread: BTreeSet::new(), errors: Vec::new() };
        check.selection(root(operation), &operation.selection_set.node);
        for defined in &operation.variable_definitions {
            let name = defined.node.name.node.as_str();
            if !check.used.contains(name) {
                check.complain(
                    defined.pos,
                    "variableNotUsed",
                    &format!("Variable ${name} is declared by anonymous query but not used"),
                );
            }
        }
        for (name, fragment) in &document.fragments {
            if !check.spread.contains(name.as_str()) {
                check.complain(
                    fragment.pos,
                    "useAndDefineFragment",
                    &format!("Fragment {name} was defined, but not used"),
                );
            }
        }
        check
    }

    fn complain(&mut self, at: Pos, code: &str, message: &str) {
        self.errors.push(json!({
            "message": message,
            "locations": [{ "line": at.line, "column": at.column }],
            "extensions": { "code": code },
        }));
    }

    fn selection(&mut self, of: &str, set: &SelectionSet) {
        for item in &set.items {
            for directive in item.node.directives() {
                for (_, value) in &directive.node.arguments {
                    self.value(
                        &value.node,
                        &Type { base: BaseType::Named(async_graphql_value::Name::new("Boolean")), nullable: false },
                        value.pos,
                    );
                }
            }
            match &item.node {
                Selection::Field(field) => self.field(of, field),
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map_or(of, |it| it.node.on.node.as_str());
                    self.fragment(of, on, item.pos);
                    self.selection(on, &fragment.node.selection_set.node);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    let Some(fragment) = self.document.fragments.get(name) else {
                        let message = format!("Fragment {name} was used, but not defined");
                        self.complain(item.pos, "useAndDefineFragment", &message);
                        continue;
                    };
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    self.fragment(of, on, item.pos);
                    if self.spread.insert(name.to_owned()) {
                        self.selection(on, &fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    fn fragment(&mut self, of: &str, on: &str, at: Pos) {
        let schema = Schema::get();
        if !schema.is_composite(on) {
            self.complain(at, "undefinedType", &format!("No such type {on}, so it can't be a fragment condition"));
        } else if !schema.overlap(of, on) {
            let message = format!("Fragment on {on} can't be spread inside {of}");
            self.complain(at, "cannotSpreadFragment", &message);
        }
    }

    fn field(&mut self, of: &str, field: &Positioned<Field>) {
        let (at, field) = (field.pos, &field.node);
        let name = field.name.node.as_str();
        if name == "__typename" {
            return;
        }
        let schema = Schema::get();
        let Some(defined) = schema.field(of, name) else {
            // Below an unknown type there is nothing more to say.
            if schema.is_composite(of) {
                self.complain(at, "undefinedField", &format!("Field '{name}' doesn't exist on type '{of}'"));
            }
            return;
        };
        for (argument, value) in &field.arguments {
            match defined.arguments.iter().find(|it| it.node.name.node == argument.node) {
                Some(known) => self.value(&value.node, &known.node.ty.node, value.pos),
                None => {
                    let message = format!("Field '{name}' doesn't accept argument '{}'", argument.node);
                    self.complain(argument.pos, "argumentNotAccepted", &message);
                }
            }
        }
        let given = |it: &&InputValueDefinition| field.get_argument(&it.name.node).is_none();
        for missing in defined.arguments.iter().map(|it| &it.node).filter(|it| !it.ty.node.nullable).filter(given) {
            let message = format!("Field '{name}' is missing required arguments: {}", missing.name.node);
            self.complain(at, "missingRequiredArguments", &message);
        }
        let ty = named(&defined.ty.node);
        match (schema.is_composite(ty), field.selection_set.node.items.is_empty()) {
            (true, true) => {
                let message = format!("Field must have selections (field '{name}' returns {ty} but has no selections.");
                self.complain(at, "selectionMismatch", &message);
            }
            (false, false) => {
                let message = format!("Selections can't be made on scalars (field '{name}' returns {ty})");
                self.complain(at, "selectionMismatch", &message);
            }
            _ => self.selection(ty, &field.selection_set.node),
        }
    }

    /// A literal or a variable where a value of this type is expected.
    fn value(&mut self, value: &Literal, ty: &Type, at: Pos) {
        let schema = Schema::get();
        match value {
            Literal::Variable(name) => {
                self.used.insert(name.to_string());
                let defined = self.operation.variable_definitions.iter().find(|it| it.node.name.node == *name);
                let Some(defined) = defined else {
                    let message = format!("Variable ${name} is used by anonymous query but not declared");
                    return self.complain(at, "variableNotDefined", &message);
                };
                let has = &defined.node.var_type.node;
                let empty = has.nullable && !ty.nullable && defined.node.default_value.is_none();
                if named(has) != named(ty) || empty {
                    let message = format!("Nullability or type mismatch on variable ${name} ({has} / {ty})");
                    self.complain(at, "variableMismatch", &message);
                }
            }
            Literal::Object(fields) => {
                let name = named(ty);
                let Some(known) = schema.inputs(name) else {
                    return self.complain(at, "argumentLiteralsIncompatible", &format!("Not a {ty}"));
                };
                for (key, value) in fields {
                    match known.iter().find(|it| it.name.node == *key) {
                        Some(it) => self.value(value, &it.ty.node, at),
                        None => {
                            let message = format!("InputObject '{name}' doesn't accept argument '{key}'");
                            self.complain(at, "argumentNotAccepted", &message);
                        }
                    }
                }
                for missing in known.iter().filter(|it| !it.ty.node.nullable && !fields.contains_key(&it.name.node)) {
                    let message = format!("Argument '{}' on InputObject '{name}' is required", missing.name.node);
                    self.complain(at, "missingRequiredInputObjectAttribute", &message);
                }
            }
            other => {
                let plain = other.clone().into_json().unwrap_or_default();
                let is_enum = matches!(other, Literal::Enum(_));
                if is_enum != (schema.is_enum_value(named(ty), "").is_some() && !plain.is_null()) || !fits(&plain, ty) {
                    let message = format!("Argument has an invalid value ({other}). Expected type '{ty}'.");
                    self.complain(at, "argumentLiteralsIncompatible", &message);
                }
            }
        }
    }

    /// The variables with their defaults; complains about values that do not fit.
    pub fn variables(&mut self, given: &Value) -> Map<String, Value> {
        let mut out = Map::new();
        for defined in &self.operation.variable_definitions {
            let (name, ty) = (defined.node.name.node.as_str(), &defined.node.var_type.node);
            let default = defined.node.default_value.as_ref().and_then(|it| it.node.clone().into_json().ok());
            let value = given.get(name).cloned().or(default);
            if fits(value.as_ref().unwrap_or(&Value::Null), ty) {
                out.extend(value.map(|it| (name.to_owned(), it)));
            } else {
                let message = format!("Variable ${name} of type {ty} was provided invalid value");
                self.complain(defined.pos, "variableInvalid", &message);
            }
        }
        out
    }
}

/// Whether a JSON value is a value of this type.
fn fits(value: &Value, ty: &Type) -> bool {
    if value.is_null() {
        return ty.nullable;
    }
    let name = match &ty.base {
        BaseType::List(of) => return value.as_array().is_some_and(|all| all.iter().all(|it| fits(it, of))),
        BaseType::Named(name) => name.as_str(),
    };
    match name {
        "Int" => value.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
        "Boolean" => value.is_boolean(),
        "ID" => value.is_string() || value.is_i64(),
        "String" | "URI" | "DateTime" | "GitObjectID" => value.is_string(),
        _ => match (Schema::get().is_enum_value(name, value.as_str().unwrap_or_default()), value.as_object()) {
            (Some(is_one), _) => is_one,
            (None, Some(object)) => Schema::get().inputs(name).is_some_and(|known| {
                let right = |it: &&InputValueDefinition| {
                    fits(object.get(it.name.node.as_str()).unwrap_or(&Value::Null), &it.ty.node)
                };
                known.iter().all(right) && object.keys().all(|key| known.iter().any(|it| it.name.node == key.as_str()))
            }),
            (None, None) => false,
        },
    }
}
