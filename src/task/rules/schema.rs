//! The JSON schema of the settings, so that an editor completes them and marks mistakes while they are made.

/// Written by hand, because what people read in their editor is its descriptions; tests hold it to what is read.
pub const SCHEMA: &str = include_str!("../../../docs/cloud-agent.schema.json");

#[cfg(test)]
mod tests {
    use jsonschema::Validator;
    use serde_json::{Map, Value};

    use super::super::read::KEYS;
    use super::super::tree::{Node, What, parse};
    use super::super::{Rules, read};
    use super::*;

    const EXAMPLE: &str = include_str!("../../../docs/cloud-agent.yml");

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// YAML as JSON, the way that an editor sees it.
    fn json(node: &Node) -> Value {
        match &node.what {
            What::Map(pairs) => {
                let key = |node: &Node| json(node).as_str().unwrap().to_owned();
                Value::Object(pairs.iter().map(|(name, value)| (key(name), json(value))).collect::<Map<_, _>>())
            }
            What::List(items) => items.iter().map(json).collect(),
            What::Scalar { text, plain: true } if text.is_empty() => Value::Null,
            What::Scalar { text, plain: true } => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            }
            What::Scalar { text, .. } => Value::from(text.as_str()),
            What::Broken => panic!("told already"),
        }
    }

    fn as_json(text: &str) -> Value {
        parse(text, &mut Vec::new()).map_or(Value::Null, |node| json(&node))
    }

    #[test]
    fn every_key_is_in_the_schema_and_nothing_else() {
        fn walk(schema: &Value, path: &str, out: &mut Vec<String>) {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            for (name, below) in schema["properties"].as_object().unwrap() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                assert!(below["description"].is_string(), "{path} has no description");
                if below.get("properties").is_some() {
                    walk(below, &path, out);
                }
                out.push(path);
            }
        }
        let mut found = Vec::new();
        walk(&schema(), "", &mut found);
        let mut known: Vec<String> = KEYS.iter().map(|it| (*it).to_owned()).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }

    #[test]
    fn defaults_are_the_ones_in_force() {
        let defaults = serde_json::to_value(Rules::default()).unwrap();
        for path in KEYS {
            let (mut schema, mut value) = (&schema(), &defaults);
            for name in path.split('.') {
                (schema, value) = (&schema["properties"][name], &value[name]);
            }
            if let Some(default) = schema.get("default") {
                assert_eq!(default, value, "{path}");
            } else {
                assert!(value.is_null() || value.is_object(), "{path} has a default");
            }
        }
    }

    #[test]
    fn the_example_names_everything_and_is_right() {
        let rules = read(EXAMPLE).unwrap();
        assert_eq!(rules.instructions, "Run `make check` before you finish.");
        let example = as_json(EXAMPLE);
        for path in KEYS {
            assert!(!example.pointer(&format!("/{}", path.replace('.', "/"))).unwrap().is_null(), "{path}");
        }
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        jsonschema::meta::validate(&schema()).unwrap();
        let validator = Validator::new(&schema()).unwrap();
        for text in [
            EXAMPLE,
            "",
            "review:",
            "review: { on: [], paths: ['a'] }",
            "budget: { run: 0.01 }",
            "fix: { label: null }",
            "instructions: ''",
            "review: { bots: ['Renovate[BOT]'] }",
            "model: claude-sonnet-4-5[1m]",
            "gate: { allow: [], file_mb: 50, files: null }",
            "gate: { allow: [workflows, tests], files: 1 }",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
            assert!(validator.is_valid(&as_json(text)), "{text}");
        }
        for text in [
            "reveiw: {}",
            "[]",
            "review: []",
            "review: { on: opened }",
            "review: { on: [closed] }",
            "review: { paths: [] }",
            "review: { paths: [1] }",
            "review: { paths: [''] }",
            "review: { gate: yes }",
            "review: { verdict: reject }",
            "review: { bots: ['a b'] }",
            "review: { bots: ['[bot]'] }",
            "fix: { label: '' }",
            "fix: { ci: { attempts: 3 } }",
            "ask: { who: admin }",
            "gate: { allow: workflows }",
            "gate: { allow: [secrets] }",
            "gate: { file_mb: 0 }",
            "gate: { file_mb: 51 }",
            "gate: { files: 1.5 }",
            "gate: { files: -1 }",
            "gate: { tests: allow }",
            "model: -x",
            "model: 3",
            "budget: { run: 0 }",
            "budget: { run: -1 }",
            "budget: { run: '3' }",
            "budget: { day: 40 }",
            "instructions: []",
        ] {
            assert!(read(text).is_err(), "{text}");
            assert!(!validator.is_valid(&as_json(text)), "{text}");
        }
    }
}
