//! The programs that packages bring: scripts of wheels and entry points.
//! Sources: <https://packaging.python.org/en/latest/specifications/entry-points/>,
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/#installing-a-wheel-distribution-1-0-py32-none-any-whl>

/// Returns the console scripts of `entry_points.txt`: name, and text for this interpreter.
pub fn of_entry_points(text: &str, interpreter: &str) -> Vec<(String, String)> {
    let (mut found, mut wanted) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            wanted = line == "[console_scripts]";
        } else if let (true, Some((name, target))) = (wanted, line.split_once('=')) {
            found.extend(script(target, interpreter).map(|text| (name.trim().to_owned(), text)));
        }
    }
    found.retain(|(name, _)| is_name(name));
    found
}

/// Returns the script that calls an entry point such as `package.module:object.method [extra]`, or `None` if it is invalid.
pub fn script(target: &str, interpreter: &str) -> Option<String> {
    let target = target.split('[').next()?.trim();
    let (module, object) = target.split_once(':')?;
    let (module, object) = (module.trim(), object.trim());
    let sound = |text: &str| {
        !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "_.".contains(char))
    };
    let first = object.split('.').next()?;
    (sound(module) && sound(object)).then(|| {
        format!(
            "#!{interpreter}\nimport sys\n\nfrom {module} import {first}\n\nif __name__ == \"__main__\":\n    sys.exit({object}())\n"
        )
    })
}

/// Returns a script of a wheel for this interpreter: its first line says `#!python` for any.
pub fn with_interpreter(script: &[u8], interpreter: &str) -> Option<Vec<u8>> {
    let rest = script.strip_prefix(b"#!python")?;
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let mut found = format!("#!{interpreter}").into_bytes();
    found.extend_from_slice(rest.get(end..).unwrap_or_default());
    Some(found)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_become_scripts() {
        let text = "[console_scripts]\nrun = a.b:main\nodd = a b\n../x = a:b\ntwo=c:d.e [extra]\n[gui_scripts]\ng = x:y\n";
        let found = of_entry_points(text, "/opt/python");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["run", "two"]);
        assert!(found.iter().all(|(_, text)| text.starts_with("#!/opt/python\nimport sys\n")));
        assert!(
            found
                .iter()
                .any(|(_, text)| text.contains("from c import d\n") && text.contains("sys.exit(d.e())"))
        );
    }

    #[test]
    fn scripts_of_wheels_get_the_interpreter() {
        assert_eq!(with_interpreter(b"#!python\nx", "/p").unwrap(), b"#!/p\nx");
        assert_eq!(with_interpreter(b"#!pythonw -O\nx", "/p").unwrap(), b"#!/p\nx");
        assert_eq!(with_interpreter(b"#!/bin/sh\n", "/p"), None);
    }
}
