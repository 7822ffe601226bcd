//! Evaluates environment markers of requirements for the platform of the image. pip would evaluate them for
//! the machine that it runs on.
//! Source: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>

use super::ImagePlatform;
use std::{cmp::Ordering, collections::BTreeMap};

/// Returns whether a marker holds for CPython `python` (`3.13`) on `platform`, or `None` if the marker is
/// invalid.
pub fn holds(marker: &str, python: &str, platform: ImagePlatform) -> Option<bool> {
    let mut parser = Parser { tokens: tokenize(marker)?, at: 0, python, platform };
    let value = parser.any_of()?;
    (parser.at == parser.tokens.len()).then_some(value)
}

#[derive(Clone, Debug, PartialEq)]
enum MarkerToken {
    Name(String),
    Text(String),
    Sign(String),
}

fn tokenize(text: &str) -> Option<Vec<MarkerToken>> {
    let (mut found, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => {
                let inner = rest.get(1..)?;
                let end = inner.find(first)?;
                found.push(MarkerToken::Text(inner.get(..end)?.to_owned()));
                end.checked_add(2)?
            }
            '(' | ')' => {
                found.push(MarkerToken::Sign(first.to_string()));
                1
            }
            '<' | '>' | '=' | '!' | '~' => {
                let end = rest.find(|char| !"<>=!~".contains(char)).unwrap_or(rest.len());
                found.push(MarkerToken::Sign(rest.get(..end)?.to_owned()));
                end
            }
            _ => {
                let end = rest.find(|char: char| !(char.is_ascii_alphanumeric() || "_.".contains(char)));
                let end = end.unwrap_or(rest.len());
                found.push(MarkerToken::Name(rest.get(..end).filter(|name| !name.is_empty())?.to_owned()));
                end
            }
        };
        rest = rest.get(end..)?.trim_start();
    }
    Some(found)
}

struct Parser<'a> {
    tokens: Vec<MarkerToken>,
    at: usize,
    python: &'a str,
    platform: ImagePlatform,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<MarkerToken> {
        let token = self.tokens.get(self.at)?.clone();
        self.at = self.at.checked_add(1)?;
        Some(token)
    }

    fn take(&mut self, token: &MarkerToken) -> bool {
        let there = self.tokens.get(self.at) == Some(token);
        if there {
            self.at = self.at.saturating_add(1);
        }
        there
    }

    fn any_of(&mut self) -> Option<bool> {
        let mut value = self.all_of()?;
        while self.take(&MarkerToken::Name("or".to_owned())) {
            value |= self.all_of()?;
        }
        Some(value)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut value = self.comparison()?;
        while self.take(&MarkerToken::Name("and".to_owned())) {
            value &= self.comparison()?;
        }
        Some(value)
    }

    fn comparison(&mut self) -> Option<bool> {
        if self.take(&MarkerToken::Sign("(".to_owned())) {
            let value = self.any_of()?;
            return self.take(&MarkerToken::Sign(")".to_owned())).then_some(value);
        }
        let left = self.operand()?;
        let sign = match self.next()? {
            MarkerToken::Sign(sign) => sign,
            MarkerToken::Name(word) if word == "in" => word,
            MarkerToken::Name(word) if word == "not" && self.take(&MarkerToken::Name("in".to_owned())) => {
                "not in".to_owned()
            }
            _ => return None,
        };
        let right = self.operand()?;
        compare(&left, &sign, &right)
    }

    fn operand(&mut self) -> Option<String> {
        let name = match self.next()? {
            MarkerToken::Text(text) => return Some(text),
            // Markers of before PEP 508, which pip still reads.
            MarkerToken::Name(name) => match name.as_str() {
                "os.name" => "os_name".to_owned(),
                "sys.platform" => "sys_platform".to_owned(),
                "platform.machine" => "platform_machine".to_owned(),
                "platform.version" => "platform_version".to_owned(),
                "platform.python_implementation" | "python_implementation" => {
                    "platform_python_implementation".to_owned()
                }
                _ => name,
            },
            MarkerToken::Sign(_) => return None,
        };
        environment(self.python, self.platform).remove(name.as_str())
    }
}

/// Returns the values of all variables of markers, by their names.
pub fn environment(python: &str, platform: ImagePlatform) -> BTreeMap<&'static str, String> {
    // The patch release is not known, so the lowest one is assumed.
    let full = format!("{python}.0");
    let all = [
        ("python_version", python),
        ("python_full_version", &full),
        ("implementation_version", &full),
        ("os_name", "posix"),
        ("sys_platform", "linux"),
        ("platform_system", "Linux"),
        ("platform_machine", platform.machine()),
        ("platform_python_implementation", "CPython"),
        ("implementation_name", "cpython"),
        ("platform_release", ""),
        ("platform_version", ""),
        ("extra", ""),
    ];
    all.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn compare(left: &str, sign: &str, right: &str) -> Option<bool> {
    match sign {
        "in" => return Some(right.contains(left)),
        "not in" => return Some(!right.contains(left)),
        "===" => return Some(left == right),
        _ => {}
    }
    let order = match (version(left), right.strip_suffix(".*").or(Some(right)).and_then(version)) {
        (Some(a), Some(b)) => {
            let wide = right.ends_with(".*");
            if sign == "~=" {
                let (_, head) = b.split_last()?;
                return Some(compare_versions(&a, &b) != Ordering::Less && starts_with(&a, head));
            }
            if wide {
                return match sign {
                    "==" => Some(starts_with(&a, &b)),
                    "!=" => Some(!starts_with(&a, &b)),
                    _ => None,
                };
            }
            compare_versions(&a, &b)
        }
        _ if ["==", "!="].contains(&sign) => left.cmp(right),
        // What is no version is compared as text, as pip does; `~=` has no meaning there.
        _ if ["<", "<=", ">", ">="].contains(&sign) => left.cmp(right),
        _ => return None,
    };
    Some(match sign {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        _ => return None,
    })
}

/// Returns the parts of a version. A pre-release counts as the one before: no `python_full_version` lies between.
fn version(text: &str) -> Option<Vec<u32>> {
    let end = text.find(['a', 'b', 'r', '-', '+']).filter(|end| *end > 0);
    let release = text.get(..end.unwrap_or(text.len()))?;
    release.split('.').map(|part| part.parse().ok()).collect()
}

fn starts_with(version: &[u32], head: &[u32]) -> bool {
    let padded = version.iter().copied().chain(std::iter::repeat(0));
    padded.take(head.len()).eq(head.iter().copied())
}

/// Compares versions of which the shorter is filled with zeros: `3.13` equals `3.13.0`.
fn compare_versions(a: &[u32], b: &[u32]) -> Ordering {
    let long = a.len().max(b.len());
    let padded =
        |list: &[u32]| list.iter().copied().chain(std::iter::repeat(0)).take(long).collect::<Vec<_>>();
    padded(a).cmp(&padded(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_evaluated_for_the_target() {
        let cases: &[(&str, Option<bool>)] = &[
            ("python_full_version < '3.11'", Some(false)),
            ("python_version >= \"3.9\"", Some(true)),
            ("python_version<'3.13.0'", Some(false)),
            ("python_full_version == '3.13.*'", Some(true)),
            ("python_version != '3.1.*'", Some(true)),
            ("python_version ~= '3.10'", Some(true)),
            ("python_version ~= '2.7'", Some(false)),
            ("sys_platform == 'win32'", Some(false)),
            ("sys_platform != 'win32' and platform_machine == 'aarch64'", Some(true)),
            (
                "sys_platform == 'win32' or (os_name == 'posix' and implementation_name == 'cpython')",
                Some(true),
            ),
            ("sys_platform == 'linux' or sys_platform == 'x' and os_name == 'nt'", Some(true)),
            ("platform_python_implementation != 'PyPy'", Some(true)),
            ("platform_machine in 'x86_64 aarch64'", Some(true)),
            ("platform_machine not in 'x86_64'", Some(true)),
            ("extra == 'dev'", Some(false)),
            ("'linux' === sys_platform", Some(true)),
            ("os_name", None),
            ("os_name == ", None),
            ("os_name == 'posix' and", None),
            ("(os_name == 'posix'", None),
            ("os_name < 'posix'", Some(false)),
            ("platform_release >= '20.0'", Some(false)),
            ("python_full_version < '3.8.0b1'", Some(false)),
            ("python_full_version >= '3.13.0a1'", Some(true)),
            ("os.name == 'nt' or sys.platform == 'linux'", Some(true)),
            ("os_name ~= 'posix'", None),
            ("weather == 'good'", None),
            ("os_name == 'posix' os_name", None),
            ("os_name == 'posix", None),
            ("ä == 'x'", None),
            ("", None),
        ];
        for (marker, wanted) in cases {
            assert_eq!(holds(marker, "3.13", ImagePlatform::Arm64), *wanted, "{marker}");
        }
    }
}
