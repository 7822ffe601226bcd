//! An access key of AWS, or of a sandbox.

use serde::{Deserialize, Serialize};

/// An access key: its ID, and the secret that signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// ID, which each request names.
    pub access_key_id: String,
    /// Secret, which no request contains.
    pub secret_access_key: String,
}

impl AccessKey {
    /// Returns the access key with this ID and secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        AccessKey { access_key_id: id.into(), secret_access_key: secret.into() }
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::AccessKey;

    #[test]
    fn debug_output_hides_the_secret() {
        let text = format!("{:?}", AccessKey::new("AKIDEXAMPLE", "hidden"));
        assert!(text.contains("AKIDEXAMPLE") && !text.contains("hidden"), "{text}");
    }
}
