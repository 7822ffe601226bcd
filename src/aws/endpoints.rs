//! The addresses that replace AWS's own: from `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SERVICE` and the profile.
//! Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use std::collections::{BTreeMap, BTreeSet};

/// The services that the program calls, by the ids that settings of a single service have.
const SERVICES: &[&str] = &[
    "Auto Scaling",
    "CloudWatch Logs",
    "DynamoDB",
    "EC2",
    "ECR",
    "EKS",
    "IAM",
    "KMS",
    "Resource Groups Tagging API",
    "S3",
    "SSM",
    "STS",
    "Service Quotas",
];

/// The services that say whose account it is, and hold the state and its lock.
const STATE: &[&str] = &["S3", "DynamoDB", "STS"];

/// The URL of each service that is not called at AWS's own address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides(BTreeMap<&'static str, String>);

impl EndpointOverrides {
    /// Returns those that a configuration names. The setting of a single service counts before the common one.
    pub fn of(config: &SdkConfig) -> Self {
        let single = |service: &'static str| {
            let key = ServiceConfigKey::builder()
                .service_id(service)
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .ok()?;
            config.service_config()?.load_config(key)
        };
        let common = || config.endpoint_url().map(str::to_owned);
        let url = |service: &&'static str| Some((*service, single(service).or_else(common)?));
        EndpointOverrides(SERVICES.iter().filter_map(url).collect())
    }

    /// Returns the URL of a service, by its id; `None` if it is AWS's own.
    pub fn url(&self, service: &str) -> Option<&str> {
        self.0.get(service).map(String::as_str)
    }

    /// Returns the URL outside AWS if it is the same for all services, else each service with its URL; `None` if there are
    /// none.
    pub fn text(&self) -> Option<String> {
        let other: Vec<(&str, &String)> =
            self.0.iter().filter(|(_, url)| !is_aws(url)).map(|(service, url)| (*service, url)).collect();
        let urls: BTreeSet<&String> = other.iter().map(|(_, url)| *url).collect();
        match urls.first() {
            None => None,
            Some(url) if urls.len() == 1 && other.len() == SERVICES.len() => Some((*url).clone()),
            Some(_) => {
                let each: Vec<String> =
                    other.iter().map(|(service, url)| format!("{service} {url}")).collect();
                Some(each.join(", "))
            }
        }
    }

    /// Returns why the state and what it describes would be in different places: only some of the services that hold the
    /// state are at AWS.
    pub fn mixed(&self) -> Option<String> {
        let (aws, other): (Vec<&str>, Vec<&str>) =
            STATE.iter().copied().partition(|service| self.url(service).is_none_or(is_aws));
        match (aws.is_empty(), other.is_empty()) {
            (false, false) => {
                let other: Vec<String> = other
                    .iter()
                    .map(|service| format!("{service} at {}", self.url(service).unwrap_or_default()))
                    .collect();
                Some(format!("{} would be called at AWS, but {}", aws.join(" and "), other.join(" and ")))
            }
            _ => None,
        }
    }
}

/// Returns whether a URL is one of AWS: of a region, FIPS, dual stack or an interface endpoint.
pub fn is_aws(url: &str) -> bool {
    const DOMAINS: &[&str] = &[".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"];
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
    DOMAINS.iter().any(|domain| host.ends_with(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(urls: &[(&'static str, &str)]) -> EndpointOverrides {
        EndpointOverrides(urls.iter().map(|(service, url)| (*service, (*url).to_owned())).collect())
    }

    #[test]
    fn each_service_with_an_address_of_its_own_is_named() {
        assert_eq!(EndpointOverrides::default().text(), None);
        let some = overrides(&[("S3", "http://localhost:9000"), ("STS", "http://localhost:1")]);
        assert_eq!(some.text().unwrap(), "S3 http://localhost:9000, STS http://localhost:1");
        let one = overrides(&[("S3", "http://localhost:9000")]);
        assert_eq!(one.text().unwrap(), "S3 http://localhost:9000");
        let all: Vec<_> = SERVICES.iter().map(|service| (*service, "http://localhost:4566")).collect();
        assert_eq!(overrides(&all).text().unwrap(), "http://localhost:4566");
    }

    #[test]
    fn the_state_is_not_split_between_aws_and_another_target() {
        let s3 = overrides(&[("S3", "http://localhost:9000")]);
        let why = s3.mixed().unwrap();
        assert_eq!(why, "DynamoDB and STS would be called at AWS, but S3 at http://localhost:9000");
        let inside = "https://bucket.vpce-1-2.s3.eu-central-1.vpce.amazonaws.com";
        assert_eq!(overrides(&[("S3", inside)]).mixed(), None);
        assert_eq!(overrides(&[("S3", inside)]).text(), None);
        assert_eq!(overrides(&[("EC2", "http://localhost:1")]).mixed(), None);
        let all = [("S3", "http://a:1"), ("DynamoDB", "http://a:2"), ("STS", "http://a:3")];
        assert_eq!(overrides(&all).mixed(), None);
        assert!(overrides(&[("S3", "http://amazonaws.com.example.org")]).mixed().is_some());
    }
}
