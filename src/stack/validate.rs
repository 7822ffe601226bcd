//! What a field's type cannot say: ranges, shapes, and what must fit together. All errors at once.

use super::{
    Places, de::nearest, diagnostics::Diagnostic, types::File, validate_cluster, validate_delivery,
    validate_network,
};

/// Errors found so far.
pub struct Findings<'a> {
    places: &'a Places,
    /// In the order of checking.
    pub list: Vec<Diagnostic>,
}

impl Findings<'_> {
    /// One more.
    pub fn add(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let help: String = help.into();
        self.list.push(self.places.at(path, message.into(), (!help.is_empty()).then_some(help)));
    }

    /// One more unless `sound`.
    pub fn check(&mut self, sound: bool, path: &str, message: impl Into<String>, help: impl Into<String>) {
        if !sound {
            self.add(path, message, help);
        }
    }

    /// Whether the file has this field.
    pub fn has(&self, path: &str) -> bool {
        self.places.spots.contains_key(path)
    }
}

/// CloudWatch's retention times, in days.
/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const RETENTION: &[i32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

/// Commercial regions; only for suggestions, since AWS adds some.
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

/// Letters, digits and these.
pub fn made_of(text: &str, others: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// `arn:partition:service:...`.
pub fn is_arn(text: &str, service: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, of, _, _, rest] if partition.starts_with("aws") && *of == service && !rest.is_empty())
        && !text.contains(char::is_whitespace)
}

/// Checks a retention time.
pub fn retention(found: &mut Findings<'_>, path: &str, days: i32) {
    let near = RETENTION.iter().min_by_key(|known| known.abs_diff(days));
    let near = near
        .map(|near| format!("the nearest is {near}; CloudWatch has {}", list(RETENTION)))
        .unwrap_or_default();
    found.check(RETENTION.contains(&days), path, format!("CloudWatch keeps no log for {days} days"), near);
}

fn list(values: &[i32]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All that is wrong with the file.
pub fn check(file: &File, places: &Places) -> Vec<Diagnostic> {
    let mut found = Findings { places, list: Vec::new() };
    general(file, &mut found);
    validate_network::check(file, &mut found);
    encryption(file, &mut found);
    validate_cluster::check(file, &mut found);
    validate_delivery::check(file, &mut found);
    found.list
}

fn general(file: &File, found: &mut Findings<'_>) {
    let mut letters = file.name.chars();
    let head = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    let tail = letters.all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) && file.name.len() <= 30;
    let help = "a small letter first, then small letters, digits, `_` and `-`; 30 at most";
    found.check(head && tail, "name", "this is no name for a stack", help);

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
        let help = near.map_or("such as `eu-central-1`".to_owned(), |near| format!("did you mean `{near}`?"));
        found.add("region", format!("there is no region `{region}`"), help);
    }
    if let Some(account) = &file.account {
        let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        found.check(
            digits,
            "account",
            "an account is twelve digits, in quotes",
            "`aws sts get-caller-identity` shows yours",
        );
    }
    tags(file, found);
    let state = &file.state;
    if let Some(bucket) = &state.bucket {
        let chars = bucket.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'));
        let ends = !bucket.starts_with(['-', '.']) && !bucket.ends_with(['-', '.']) && !bucket.contains("..");
        let sound = (3..=63).contains(&bucket.len()) && chars && ends;
        found.check(
            sound,
            "state.bucket",
            "this is no name for a bucket",
            "3 to 63 small letters, digits, `-` and `.`",
        );
    }
    if let Some(table) = &state.table {
        let sound = (3..=255).contains(&table.len()) && made_of(table, "_-.");
        found.check(
            sound,
            "state.table",
            "this is no name for a table",
            "3 to 255 letters, digits, `_`, `-` and `.`",
        );
    }
    if let Some(arn) = &state.key_arn {
        found.check(
            is_arn(arn, "kms"),
            "state.keyArn",
            "this is no ARN of a KMS key",
            "such as `arn:aws:kms:eu-central-1:123456789012:key/...`",
        );
    }
}

/// `eu-central-2` beside `eu-central-1` is no slip: AWS adds regions by counting on.
fn same_family(one: &str, other: &str) -> bool {
    let stem = |region: &str| region.rsplit_once('-').map(|(stem, _)| stem.to_owned());
    stem(one) == stem(other)
}

fn tags(file: &File, found: &mut Findings<'_>) {
    found.check(
        file.tags.len() <= 40,
        "tags",
        format!("{} tags; AWS takes 50, and some are needed", file.tags.len()),
        "40 at most",
    );
    for (key, value) in &file.tags {
        let path = format!("tags.{key}");
        let lower = key.to_ascii_lowercase();
        let reserved = ["aws:", "provisioner:"].iter().find(|prefix| lower.starts_with(**prefix));
        if let Some(prefix) = reserved {
            found.add(
                &path,
                format!("tags that begin with `{prefix}` are not yours to set"),
                "choose another key",
            );
        }
        let chars = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c));
        let sound = !key.is_empty()
            && key.chars().count() <= 128
            && value.chars().count() <= 256
            && chars(key)
            && chars(value);
        let help = "key up to 128, value up to 256 letters, digits, spaces and `_.:/=+-@`";
        found.check(sound, &path, "AWS does not take this tag", help);
        found.check(
            key != "Name",
            &path,
            "`Name` is set on each resource to its own name",
            "choose another key",
        );
    }
}

fn encryption(file: &File, found: &mut Findings<'_>) {
    let Some(encryption) = &file.encryption else { return };
    let (rotation, window) = (encryption.rotation_days, encryption.deletion_window_days);
    if let Some(arn) = &encryption.key_arn {
        found.check(
            is_arn(arn, "kms"),
            "encryption.keyArn",
            "this is no ARN of a KMS key",
            "such as `arn:aws:kms:eu-central-1:123456789012:key/...`",
        );
        for field in ["rotationDays", "deletionWindowDays"] {
            let path = format!("encryption.{field}");
            if found.has(&path) {
                found.add(
                    &path,
                    format!("`{field}` is for a key that is made, and `keyArn` names one that is there"),
                    "remove one of the two",
                );
            }
        }
    }
    found.check(
        (90..=2560).contains(&rotation),
        "encryption.rotationDays",
        format!("KMS makes new key material every 90 to 2560 days, not {rotation}"),
        "",
    );
    found.check(
        (7..=30).contains(&window),
        "encryption.deletionWindowDays",
        format!("KMS keeps a deleted key for 7 to 30 days, not {window}"),
        "",
    );
}
