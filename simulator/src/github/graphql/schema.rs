//! The schema, parsed once: which type has which field, of what type, with which arguments.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use async_graphql_parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition,
};

/// Types by name.
#[derive(Debug)]
pub(super) struct Schema {
    types: BTreeMap<String, TypeKind>,
}

impl Schema {
    pub fn get() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let document = async_graphql_parser::parse_schema(include_str!("schema.graphql")).expect("a schema");
            let types = document.definitions.into_iter().filter_map(|it| match it {
                TypeSystemDefinition::Type(it) => Some((it.node.name.node.to_string(), it.node.kind)),
                _ => None,
            });
            Schema { types: types.collect() }
        })
    }

    pub fn kind(&self, name: &str) -> Option<&TypeKind> {
        self.types.get(name)
    }

    pub fn field(&self, of: &str, name: &str) -> Option<&FieldDefinition> {
        let fields = match self.kind(of)? {
            TypeKind::Object(it) => &it.fields,
            TypeKind::Interface(it) => &it.fields,
            _ => return None,
        };
        fields.iter().map(|it| &it.node).find(|it| it.name.node == name)
    }

    /// Fields of an input object.
    pub fn inputs(&self, of: &str) -> Option<Vec<&InputValueDefinition>> {
        match self.kind(of)? {
            TypeKind::InputObject(it) => Some(it.fields.iter().map(|it| &it.node).collect()),
            _ => None,
        }
    }

    pub fn is_enum_value(&self, of: &str, value: &str) -> Option<bool> {
        match self.kind(of)? {
            TypeKind::Enum(it) => Some(it.values.iter().any(|it| it.node.value.node == value)),
            _ => None,
        }
    }

    /// Whether values of this type are selected from; others are scalars and enums.
    pub fn is_composite(&self, name: &str) -> bool {
        matches!(self.kind(name), Some(TypeKind::Object(_) | TypeKind::Interface(_)))
    }

    /// Whether an object of type `object` is a `name` too.
    pub fn is_a(&self, object: &str, name: &str) -> bool {
        let implements = match self.kind(object) {
            Some(TypeKind::Object(it)) => &it.implements,
            _ => return object == name,
        };
        object == name || implements.iter().any(|it| it.node == name)
    }

    /// Whether anything can be both.
    pub fn overlap(&self, one: &str, other: &str) -> bool {
        self.types
            .keys()
            .any(|it| matches!(self.kind(it), Some(TypeKind::Object(_))) && self.is_a(it, one) && self.is_a(it, other))
    }
}

/// The name inside lists and exclamation marks.
pub(super) fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(of) => named(of),
    }
}
