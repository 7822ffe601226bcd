//! The fields that the JSON Schema of the file has.

use serde_json::Value;

/// One value that a person can write.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    /// `nodeGroups[].labels.*`: `[]` for the items of a list, `*` for a name that is the author's own.
    pub path: String,
    /// The one word that this is about, of a field that takes some words only.
    pub word: Option<String>,
    /// Whether it alone changes nothing.
    pub neutral: bool,
}

/// All that can be written.
pub fn leaves(schema: &Value) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(schema, schema, "", false, &mut found);
    found
}

fn walk(root: &Value, node: &Value, path: &str, neutral: bool, found: &mut Vec<Leaf>) {
    let neutral = neutral || node["x-plan-neutral"] == true;
    if let Some(name) = node["$ref"].as_str() {
        return walk(root, root.pointer(name.trim_start_matches('#')).unwrap(), path, neutral, found);
    }
    let forms: Vec<&Value> =
        ["anyOf", "oneOf"].iter().filter_map(|key| node[key].as_array()).flatten().collect();
    if !forms.is_empty() {
        let some = forms.into_iter().filter(|form| form["type"] != "null");
        return some.for_each(|form| walk(root, form, path, neutral, found));
    }
    if let Some(fields) = node["properties"].as_object() {
        for (name, field) in fields {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(root, field, &path, neutral, found);
        }
    } else if node["items"].is_object() {
        walk(root, &node["items"], &format!("{path}[]"), neutral, found);
    } else if node["additionalProperties"].is_object() {
        walk(root, &node["additionalProperties"], &format!("{path}.*"), neutral, found);
    } else {
        let words: Vec<&Value> =
            node["enum"].as_array().into_iter().flatten().chain(node.get("const")).collect();
        let leaf = |word: Option<&Value>| Leaf {
            path: path.to_owned(),
            word: word.map(|word| word.as_str().unwrap().to_owned()),
            neutral,
        };
        match words.as_slice() {
            [] => found.push(leaf(None)),
            words => found.extend(words.iter().map(|word| leaf(Some(word)))),
        }
    }
}

/// Whether `path`, such as `nodeGroups[0].labels.pool`, is an instance of the leaf `pattern`.
pub fn fits(path: &str, pattern: &str) -> bool {
    let mut plain = String::new();
    for part in path.split_inclusive(['[', ']']) {
        match part.strip_suffix(']') {
            Some(_) => plain.push(']'),
            None => plain.push_str(part),
        }
    }
    let (path, pattern): (Vec<&str>, Vec<&str>) = (plain.split('.').collect(), pattern.split('.').collect());
    path.len() == pattern.len() && path.iter().zip(pattern).all(|(one, other)| other == "*" || *one == other)
}

/// All values inside `value`, each by its path; the items of a list of plain ones by the list's path and `[]`.
pub fn values(path: &str, value: &Value) -> Vec<(String, Value)> {
    let mut found = vec![(path.to_owned(), value.clone())];
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.extend(values(&path, value));
            }
        }
        Value::Array(list) => {
            found.extend(list.iter().flat_map(|item| values(&format!("{path}[]"), item)));
        }
        _ => {}
    }
    found
}
