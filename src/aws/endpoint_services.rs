//! The services that interface endpoints can be created for, and the zones in which AWS offers them.

use super::{Call, Clients, filter};
use crate::model::CallError;
use aws_sdk_ec2::types::{ServiceDetail, ServiceType};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the zones of each of these services (`com.amazonaws.eu-central-1.sts`) as an interface endpoint. A service that
/// does not exist, or only as a gateway endpoint, is left out.
///
/// Source: <https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html>
pub async fn endpoint_services(
    clients: &Clients,
    names: &[String],
) -> Result<BTreeMap<String, BTreeSet<String>>, CallError> {
    // By a filter: a name that does not exist is an error in the call's list of names.
    let call =
        || clients.ec2.describe_vpc_endpoint_services().filters(filter("service-name", names.to_vec()));
    let (mut found, mut token) = (BTreeMap::new(), None);
    loop {
        let answer = call().set_next_token(token).send().await.call()?;
        add(&mut found, answer.service_details.unwrap_or_default());
        token = answer.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(found);
        }
    }
}

fn add(found: &mut BTreeMap<String, BTreeSet<String>>, details: Vec<ServiceDetail>) {
    for service in details {
        let interface =
            service.service_type().iter().any(|kind| kind.service_type() == Some(&ServiceType::Interface));
        if let (Some(name), true) = (service.service_name, interface) {
            found.entry(name).or_default().extend(service.availability_zones.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::ServiceTypeDetail;

    #[test]
    fn only_the_zones_of_an_interface_count() {
        let service = |name: &str, kind: ServiceType, zones: &[&str]| {
            let kind = ServiceTypeDetail::builder().service_type(kind).build();
            let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
            ServiceDetail::builder()
                .service_name(name)
                .service_type(kind)
                .set_availability_zones(Some(zones))
                .build()
        };
        let mut found = BTreeMap::new();
        add(
            &mut found,
            vec![
                service("sts", ServiceType::Interface, &["a"]),
                service("s3", ServiceType::Gateway, &["a", "b"]),
                service("s3", ServiceType::Interface, &["b"]),
                service("dynamodb", ServiceType::Gateway, &["a"]),
            ],
        );
        let zones = |zones: &[&str]| zones.iter().map(|zone| (*zone).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(
            found,
            BTreeMap::from([("s3".to_owned(), zones(&["b"])), ("sts".to_owned(), zones(&["a"]))])
        );
    }
}
