//! Types of fields that accept more than one YAML form, and CIDR blocks.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer, value::SeqAccessDeserializer},
};
use std::{fmt, ops::Deref};

/// An IPv4 CIDR block, such as `10.0.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct Cidr(pub Ipv4Net);

impl Cidr {
    /// Returns the default block of a VPC.
    pub(super) fn vpc() -> Self {
        Cidr("10.0.0.0/16".parse().unwrap_or_default())
    }
}

impl Deref for Cidr {
    type Target = Ipv4Net;

    fn deref(&self) -> &Ipv4Net {
        &self.0
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let net: Ipv4Net = text
            .parse()
            .map_err(|_| de::Error::custom("expected an IPv4 CIDR block\nsuch as `10.0.0.0/16`"))?;
        if net.addr() != net.network() {
            let message = format!("CIDR block has host bits set\ndid you mean `{}`?", net.trunc());
            return Err(de::Error::custom(message));
        }
        Ok(Cidr(net))
    }
}

/// The availability zones: a number from 1 to 6, or a list of names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Zones {
    /// The number of zones; the first ones by name are used.
    Count(u8),
    /// The names of the zones.
    Names(Vec<String>),
}

impl Default for Zones {
    fn default() -> Self {
        Zones::Count(3)
    }
}

impl<'de> Deserialize<'de> for Zones {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Zones;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of zones, or a list of zone names")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Zones, E> {
                let fits = u8::try_from(count).ok().filter(|count| (1..=6).contains(count));
                fits.map(Zones::Count).ok_or_else(|| E::custom("must be between 1 and 6 zones"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Zones, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Zones::Names)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The VPC endpoints: `auto`, or a list of service names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Endpoints {
    /// The endpoints that the stack needs.
    #[default]
    #[serde(serialize_with = "auto")]
    #[schemars(with = "AutoWord")]
    Auto,
    /// The short names of the services, such as `ecr.api`.
    List(Vec<String>),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum AutoWord {
    Auto,
}

fn auto<S: serde::Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("auto")
}

impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Endpoints;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`auto`, or a list of service names")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Endpoints, E> {
                match text {
                    "auto" => Ok(Endpoints::Auto),
                    _ => {
                        Err(E::custom("expected `auto`, or a list of service names\nsuch as `[s3, ecr.api]`"))
                    }
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Endpoints, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Endpoints::List)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The VPC flow log: `true`, `false`, or a map with `retentionDays`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum FlowLogs {
    /// Enabled with the defaults, or disabled.
    Switch(bool),
    /// Enabled with these settings.
    Settings(FlowLogSettings),
}

/// The settings of a VPC flow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowLogSettings {
    /// How long CloudWatch keeps log events, in days; one of the values that CloudWatch supports. Default:
    /// 365.
    #[serde(default = "one_year")]
    pub retention_days: i32,
}

impl Default for FlowLogs {
    fn default() -> Self {
        FlowLogs::Switch(true)
    }
}

impl FlowLogs {
    /// Returns the settings, or `None` if the flow log is disabled.
    pub fn settings(&self) -> Option<FlowLogSettings> {
        match self {
            FlowLogs::Switch(false) => None,
            FlowLogs::Switch(true) => Some(FlowLogSettings { retention_days: one_year() }),
            FlowLogs::Settings(settings) => Some(settings.clone()),
        }
    }
}

impl<'de> Deserialize<'de> for FlowLogs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = FlowLogs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a map with `retentionDays`")
            }

            fn visit_bool<E>(self, on: bool) -> Result<FlowLogs, E> {
                Ok(FlowLogs::Switch(on))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FlowLogs, A::Error> {
                FlowLogSettings::deserialize(MapAccessDeserializer::new(map)).map(FlowLogs::Settings)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number from 1 to 100, or a percentage such as `33%`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Share {
    /// An absolute number.
    Count(u16),
    /// A percentage, with its `%`.
    Percent(String),
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 1 to 100, or a percentage such as `33%`")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Share, E> {
                let fits = u16::try_from(count).ok().filter(|count| (1..=100).contains(count));
                fits.map(Share::Count).ok_or_else(|| {
                    E::custom("expected a number from 1 to 100, or a percentage such as `33%`")
                })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                let number = text.strip_suffix('%').and_then(|number| number.parse::<u16>().ok());
                match number {
                    Some(1..=100) => Ok(Share::Percent(text.to_owned())),
                    _ => Err(E::custom("expected a number from 1 to 100, or a percentage such as `33%`")),
                }
            }
        }
        deserializer.deserialize_any(Any)
    }
}

pub(super) fn one_year() -> i32 {
    365
}
