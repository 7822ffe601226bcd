//! The parts of `app` that have a form of their own: health checks, and quantities of CPU and memory.

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use std::fmt;

/// How a pod is checked: by an HTTP path, by a TCP connection, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum HealthCheck {
    /// The path responds with a status from 200 to 399.
    Path(String),
    /// The port accepts connections: `tcp`.
    Tcp,
    /// Not checked: `none`.
    None,
}

impl HealthCheck {
    /// Returns the path, or `None` if no path is checked.
    pub fn path(&self) -> Option<&str> {
        match self {
            HealthCheck::Path(path) => Some(path),
            HealthCheck::Tcp | HealthCheck::None => None,
        }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HealthCheck::Path(path) => path,
            HealthCheck::Tcp => "tcp",
            HealthCheck::None => "none",
        })
    }
}

impl Serialize for HealthCheck {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HealthCheck {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)? {
            word if word == "tcp" => HealthCheck::Tcp,
            word if word == "none" => HealthCheck::None,
            path => HealthCheck::Path(path),
        })
    }
}

/// The health checks of the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Health {
    /// What must succeed once, within 60 s, before the other checks begin: a path, `tcp` or `none`. Default:
    /// `/health/live`.
    #[serde(default = "live_path")]
    pub startup: HealthCheck,
    /// What restarts the container if it fails three times: a path, `tcp` or `none`. Default: `/health/live`.
    #[serde(default = "live_path")]
    pub live: HealthCheck,
    /// What decides whether a pod receives requests: a path, `tcp` or `none`. A path is also the load balancer's
    /// health check. Default: `/health/ready`.
    #[serde(default = "ready_path")]
    pub ready: HealthCheck,
}

impl Default for Health {
    fn default() -> Self {
        Health { startup: live_path(), live: live_path(), ready: ready_path() }
    }
}

fn live_path() -> HealthCheck {
    HealthCheck::Path("/health/live".to_owned())
}

fn ready_path() -> HealthCheck {
    HealthCheck::Path("/health/ready".to_owned())
}

/// A quantity of CPU or memory as Kubernetes writes it, such as `100m` or `128Mi`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(with = "QuantityForms")]
#[serde(transparent)]
pub struct Quantity(pub String);

#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum QuantityForms {
    Text(String),
    Number(f64),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as `100m` or `128Mi`")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Quantity {
    /// Returns the value in billionths, the smallest unit that Kubernetes knows, rounded up. `None` if the text is not
    /// a quantity without a sign, or is above the largest one.
    /// Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
    pub fn billionths(&self) -> Option<u128> {
        let end = self.0.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.0.len());
        let (number, suffix) = self.0.split_at_checked(end)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        // Billionths of one unit of the suffix, as `factor / divisor`.
        let (factor, divisor) = unit(suffix)?;
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        let divisor = divisor.checked_mul(10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
        let value = digits.checked_mul(factor)?.div_ceil(divisor);
        (value <= MAX_BILLIONTHS).then_some(value)
    }
}

/// The largest quantity, 2^63 - 1, in billionths.
const MAX_BILLIONTHS: u128 = 9_223_372_036_854_775_807 * BILLION;
const BILLION: u128 = 1_000_000_000;

/// Returns the billionths of one unit as a fraction, or `None` for an unknown suffix.
fn unit(suffix: &str) -> Option<(u128, u128)> {
    const DECIMAL: &[&str] = &["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: &[&str] = &["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power = |base: u128, step: usize| base.checked_pow(u32::try_from(step).ok()?);
    if let Some(step) = DECIMAL.iter().position(|known| *known == suffix) {
        return Some((power(1000, step)?, 1));
    }
    if let Some(step) = BINARY.iter().position(|known| *known == suffix) {
        return Some((power(1024, step.checked_add(1)?)?.checked_mul(BILLION)?, 1));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let shift = 10_u128.checked_pow(exponent.unsigned_abs())?;
    match exponent < 0 {
        true => Some((BILLION, shift)),
        false => Some((BILLION.checked_mul(shift)?, 1)),
    }
}

/// What Kubernetes reserves for a pod, and the most memory that it may use. CPU has no limit: a limit slows down
/// requests although CPU is unused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// The CPU that is reserved for a pod, such as `100m` (a tenth of a CPU) or `2`. Default: `100m`.
    #[serde(default = "default_cpu")]
    pub cpu: Quantity,
    /// The memory that is reserved for a pod, such as `128Mi`. Default: `128Mi`.
    #[serde(default = "default_memory")]
    pub memory: Quantity,
    /// The most memory that a pod may use, at least `memory`; the container is restarted if it needs more.
    /// Default: `256Mi`.
    #[serde(default = "default_memory_limit")]
    pub memory_limit: Quantity,
}

impl Default for Resources {
    fn default() -> Self {
        Resources { cpu: default_cpu(), memory: default_memory(), memory_limit: default_memory_limit() }
    }
}

fn default_cpu() -> Quantity {
    Quantity("100m".to_owned())
}

fn default_memory() -> Quantity {
    Quantity("128Mi".to_owned())
}

fn default_memory_limit() -> Quantity {
    Quantity("256Mi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, value) in [
            ("100m", Some(100_000_000)),
            ("2", Some(2 * BILLION)),
            ("0.5", Some(500_000_000)),
            (".5", Some(500_000_000)),
            ("5.", Some(5 * BILLION)),
            ("1.5Gi", Some(1_610_612_736 * BILLION)),
            ("1e3", Some(1000 * BILLION)),
            ("5e-1", Some(500_000_000)),
            ("12E6", Some(12_000_000 * BILLION)),
            ("1E", Some(1_000_000_000_000_000_000 * BILLION)),
            ("0.1n", Some(1)),
            ("128", Some(128 * BILLION)),
            ("8Ei", None),
            ("10E", None),
            ("99999999999999999999999999999999999999999", None),
            ("1e99999999999", None),
            ("0.00000000000000000000000000000000000000001", None),
            ("128mi", None),
            ("128MB", None),
            ("-1", None),
            ("1 Gi", None),
            ("1.2.3", None),
            (".", None),
            ("", None),
            ("Mi", None),
            ("é", None),
        ] {
            assert_eq!(Quantity(text.to_owned()).billionths(), value, "{text}");
        }
    }
}
