//! The HTTP client of the SDK, with a limit on what an answer may hold. Also the credentials providers use it: an endpoint
//! that is set in a profile or in the environment can be anybody's.

use aws_smithy_http_client::{
    Builder, ConnectorBuilder, proxy::ProxyConfig, tls, tls::rustls_provider::CryptoMode,
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// Maximum size of an answer, in bytes. The largest that AWS gives are pages of a thousand roles with their policies, and
/// the states that this program writes; both stay below a third of it.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Returns the client for AWS: HTTPS and the proxies of the environment, as the SDK's own.
pub fn bounded_https() -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector =
            ConnectorBuilder::default().tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    });
    SharedHttpClient::new(Bounded(client))
}

/// Returns the client for the sandbox, which is reached without TLS and without a proxy.
pub fn bounded_http() -> SharedHttpClient {
    SharedHttpClient::new(Bounded(Builder::new().build_http()))
}

/// A client, or a connector of one, whose answers are limited.
#[derive(Debug)]
struct Bounded<T>(T);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            Ok(answer.await?.map(|body| SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER_BYTES))))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::MAX_ANSWER_BYTES;
    use crate::{
        aws::{ServiceEndpoint, connect},
        model::AccessKey,
        os::hostile::{Answer, Hostile},
    };

    #[tokio::test]
    async fn an_answer_without_end_is_cut_and_named() {
        let server = Hostile::start(|_| Answer::endless("200 OK", "content-type: text/xml\r\n"));
        let access_key = AccessKey::new("sandbox", "sandbox");
        let endpoint = ServiceEndpoint::Sandbox { url: format!("http://{}", server.host()), access_key };
        let error = connect(&endpoint, "eu-central-1", None).await.identity().await.unwrap_err();
        assert!(error.message.contains(&server.host()), "{error:?}");
        assert!(error.message.contains("length limit exceeded"), "{error:?}");
        // Once for each of the SDK's tries, and what the sockets hold.
        assert!(server.sent() < 4 * MAX_ANSWER_BYTES, "{}", server.sent());
    }
}
