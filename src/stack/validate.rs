//! Validates what the types of the fields cannot express: ranges, formats, and fields that depend on each
//! other. All errors are reported at once.

use super::{
    deserializer::nearest,
    diagnostics::Diagnostic,
    findings::{Findings, is_arn, made_of},
    positions::Positions,
    types::File,
    validate_cluster, validate_delivery, validate_network,
};

/// Commercial regions. Only for suggestions, because AWS adds regions.
const REGIONS: &[&str] = &[
    "af-south-1",
    "ap-east-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The hint for a value that is not the ARN of a KMS key.
const KEY_ARN_HINT: &str = "such as `arn:aws:kms:eu-central-1:123456789012:key/...`";

/// Returns all validation errors of the file.
pub fn check(file: &File, positions: &Positions) -> Vec<Diagnostic> {
    let mut findings = Findings { positions, list: Vec::new() };
    general(file, &mut findings);
    validate_network::check(file, &mut findings);
    encryption(file, &mut findings);
    validate_cluster::check(file, &mut findings);
    validate_delivery::check(file, &mut findings);
    findings.list
}

fn general(file: &File, findings: &mut Findings<'_>) {
    let mut letters = file.name.chars();
    let head = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    let tail = letters.all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) && file.name.len() <= 30;
    let hint = "use 1 to 30 lowercase letters, digits, `_` and `-`, starting with a letter";
    findings.valid(head && tail, "name", "stack name", &file.name, hint);

    let region = &file.region;
    let parts: Vec<&str> = region.split('-').collect();
    let shaped = parts.len() >= 3
        && parts.first().is_some_and(|first| first.len() == 2)
        && parts.last().is_some_and(|last| !last.is_empty() && last.chars().all(|c| c.is_ascii_digit()))
        && made_of(region, "-")
        && !region.chars().any(|c| c.is_ascii_uppercase());
    let near = nearest(region, REGIONS.iter().copied()).filter(|near| near != region);
    let slip = near.is_some_and(|near| {
        !REGIONS.contains(&region.as_str())
            && strsim::levenshtein(near, region) <= 2
            && !same_family(near, region)
    });
    if !shaped || slip {
        let hint = near.map_or("such as `eu-central-1`".to_owned(), |near| format!("did you mean `{near}`?"));
        findings.valid(false, "region", "AWS region", region, &hint);
    }
    if let Some(account) = &file.account {
        let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        let hint = "use the 12 digits that `aws sts get-caller-identity` shows, in quotes";
        findings.valid(digits, "account", "AWS account ID", account, hint);
    }
    roles(file, findings);
    tags(file, findings);
    let state = &file.state;
    if let Some(bucket) = &state.bucket {
        let chars = bucket.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'));
        let ends = !bucket.starts_with(['-', '.']) && !bucket.ends_with(['-', '.']) && !bucket.contains("..");
        let sound = (3..=63).contains(&bucket.len()) && chars && ends;
        let hint =
            "use 3 to 63 lowercase letters, digits, `-` and `.`, starting and ending with a letter or digit";
        findings.valid(sound, "state.bucket", "S3 bucket name", bucket, hint);
    }
    if let Some(table) = &state.table {
        let sound = (3..=255).contains(&table.len()) && made_of(table, "_-.");
        let hint = "use 3 to 255 letters, digits, `_`, `-` and `.`";
        findings.valid(sound, "state.table", "DynamoDB table name", table, hint);
    }
    if let Some(arn) = &state.key_arn {
        key_arn(file, findings, "state.keyArn", arn);
    }
}

/// Source of the path's form: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
fn roles(file: &File, findings: &mut Findings<'_>) {
    if let Some(arn) = &file.role_arn {
        let sound = is_arn(arn, "iam") && arn.contains(":role/");
        let hint = "such as `arn:aws:iam::123456789012:role/platform`";
        findings.valid(sound, "roleArn", "IAM role ARN", arn, hint);
        let other = arn.split(':').nth(4).zip(file.account.as_deref()).filter(|(of, guard)| of != guard);
        if let (true, Some((of, guard))) = (sound, other) {
            let message = format!("the role is in account {of}, and `account` allows only {guard}");
            findings.add("roleArn", message, "use a role of that account, or correct `account`");
        }
    }
    if let Some(id) = &file.external_id {
        let sound = (2..=1224).contains(&id.len()) && made_of(id, "_+=,.@:/-");
        let hint = "use 2 to 1224 letters, digits and `_+=,.@:/-`";
        findings.valid(sound, "externalId", "external ID", id, hint);
        let message = "has no effect without `roleArn`";
        findings.check(
            file.role_arn.is_some(),
            "externalId",
            message,
            "add `roleArn`, or remove `externalId`",
        );
    }
    if let Some(arn) = &file.permissions_boundary {
        let sound = is_arn(arn, "iam") && arn.contains(":policy/");
        let hint = "such as `arn:aws:iam::123456789012:policy/boundary`";
        findings.valid(sound, "permissionsBoundary", "IAM policy ARN", arn, hint);
    }
    if let Some(path) = &file.role_path {
        let ends = path.starts_with('/') && path.ends_with('/');
        let sound =
            ends && path.len() <= 512 && path.chars().all(|c| c.is_ascii_graphic()) && !path.contains("//");
        findings.valid(
            sound,
            "rolePath",
            "role path",
            path,
            "begin and end it with `/`, such as `/platform/`",
        );
    }
}

/// Returns whether two regions differ only in their number. `eu-central-3` is not taken for a typo of
/// `eu-central-2`, because AWS numbers new regions in sequence.
fn same_family(one: &str, other: &str) -> bool {
    let stem = |region: &str| region.rsplit_once('-').map(|(stem, _)| stem.to_owned());
    stem(one) == stem(other)
}

fn tags(file: &File, findings: &mut Findings<'_>) {
    findings.check(
        file.tags.len() <= 40,
        "tags",
        format!("must have at most 40 tags (got {})", file.tags.len()),
        "remove some; AWS allows 50 tags per resource, and provisioner needs the others",
    );
    for (key, value) in &file.tags {
        let path = format!("tags.{key}");
        let lower = key.to_ascii_lowercase();
        let reserved = ["aws:", "provisioner:"].iter().find(|prefix| lower.starts_with(**prefix));
        if let Some(prefix) = reserved {
            findings.add(
                &path,
                format!("tag keys that start with `{prefix}` are reserved"),
                "use another key",
            );
        }
        let chars = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
        let sound = !key.is_empty()
            && key.chars().count() <= 128
            && value.chars().count() <= 256
            && chars(key)
            && chars(value);
        let hint =
            "use letters, digits, spaces and `_.:/=+-@`: at most 128 for the key and 256 for the value";
        let message = format!("invalid tag (value {})", findings.quoted(&path, value));
        findings.check(sound, &path, message, hint);
        findings.check(
            key != "Name",
            &path,
            "tag key `Name` is reserved: each resource gets its own name",
            "use another key",
        );
    }
}

/// Validates the ARN of a key. AWS services use only keys of their own region.
/// Source: <https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html>
fn key_arn(file: &File, findings: &mut Findings<'_>, path: &str, arn: &str) {
    let sound = is_arn(arn, "kms");
    findings.valid(sound, path, "KMS key ARN", arn, KEY_ARN_HINT);
    let region = arn.split(':').nth(3).unwrap_or_default();
    let message =
        format!("must be a key in the stack's region {} (got {})", file.region, findings.quoted(path, arn));
    let hint = "use a key of this region, or the replica there of a multi-Region key";
    findings.check(!sound || region == file.region, path, message, hint);
}

fn encryption(file: &File, findings: &mut Findings<'_>) {
    let Some(encryption) = &file.encryption else { return };
    let (rotation, window) = (encryption.rotation_days, encryption.deletion_window_days);
    if let Some(arn) = &encryption.key_arn {
        key_arn(file, findings, "encryption.keyArn", arn);
        for field in ["rotationDays", "deletionWindowDays"] {
            let path = format!("encryption.{field}");
            if findings.has(&path) {
                findings.add(
                    &path,
                    "conflicts with `keyArn`: the settings of an existing key are not changed",
                    format!("remove `{field}` or `keyArn`"),
                );
            }
        }
    }
    findings.range("encryption.rotationDays", rotation.into(), 90..=2560, "days");
    findings.range("encryption.deletionWindowDays", window.into(), 7..=30, "days");
}
