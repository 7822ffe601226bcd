//! Signs tokens for the API server of EKS: a presigned `sts:GetCallerIdentity`, bound to one cluster by a
//! signed header.
//! Source: <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>

use crate::model::CallError;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// How long a token is used. The API server accepts it for 15 minutes after it was signed.
pub const TOKEN_LIFETIME: Duration = Duration::from_mins(14);

/// How long STS accepts the URL in a token.
const URL_LIFETIME: Duration = Duration::from_mins(1);

/// A token. Its bearer can act as the caller, so debug output leaves the text out.
#[derive(Clone)]
pub struct ClusterToken {
    /// `k8s-aws-v1.` followed by the URL in base64.
    pub text: String,
    /// When to sign another one.
    pub until: SystemTime,
}

impl fmt::Debug for ClusterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Returns the token for `cluster` in `region`, signed at `now`. Makes no call.
///
/// # Errors
/// Fails if the request cannot be signed with these credentials or this region.
pub fn token(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<ClusterToken, CallError> {
    let sign_error = |error: String| CallError::bug(format!("cannot sign the token: {error}"));
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(URL_LIFETIME);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| sign_error(error.to_string()))?
        .into();
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let host = format!("sts.{region}.{suffix}");
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let headers = [("host", host.as_str()), ("x-k8s-aws-id", cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]))
        .map_err(|error| sign_error(error.to_string()))?;
    let (instructions, _) =
        sign(request, &params).map_err(|error| sign_error(error.to_string()))?.into_parts();
    let mut request =
        http::Request::builder().uri(&url).body(()).map_err(|error| sign_error(error.to_string()))?;
    instructions.apply_to_request_http1x(&mut request);
    let text = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(request.uri().to_string()));
    // A token expires with the credentials that signed it.
    let until = credentials.expiry().map_or(now + TOKEN_LIFETIME, |end| end.min(now + TOKEN_LIFETIME));
    Ok(ClusterToken { text, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let (key, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        Credentials::new(key, secret, Some("SESSIONTOKEN/+=".to_owned()), None, "test")
    }

    /// 2026-01-02T03:04:05Z.
    fn then() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    #[test]
    fn a_token_matches_that_of_botocore() {
        let token = token(&credentials(), "eu-west-1", "my-cluster", then()).unwrap();
        let (head, body) = token.text.split_once('.').unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
        assert_eq!(head, "k8s-aws-v1");
        // Signed by botocore's RequestSigner with the same credentials at the same time; only the order
        // differs.
        let golden = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fsts%2Faws4_request\
             &X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
             &X-Amz-Security-Token=SESSIONTOKEN%2F%2B%3D\
             &X-Amz-Signature=d308db97167960fcee022450607faf5badc0f0f1018d74a8ef44e165b4af6d6f";
        let parts = |url: &str| {
            let mut parts: Vec<String> = url.split(['?', '&']).map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(parts(&url), parts(golden));
        assert_eq!(token.until.duration_since(then()).unwrap().as_secs(), 840);
    }

    #[test]
    fn a_token_is_for_one_cluster_and_hidden_in_debug_output() {
        let of = |cluster: &str| token(&credentials(), "eu-west-1", cluster, then()).unwrap();
        assert_ne!(of("one").text, of("two").text);
        let debug = format!("{:?}", of("one"));
        assert!(!debug.contains("k8s-aws-v1"), "{debug}");
    }

    #[test]
    fn china_has_a_host_of_its_own() {
        let token = token(&credentials(), "cn-north-1", "c", then()).unwrap();
        let url = URL_SAFE_NO_PAD.decode(token.text.split_once('.').unwrap().1).unwrap();
        assert!(url.starts_with(b"https://sts.cn-north-1.amazonaws.com.cn/"));
    }
}
