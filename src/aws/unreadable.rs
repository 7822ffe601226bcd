//! Answers that are not of the service: a proxy's page, a login form, an answer that was cut off.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error;

/// How many characters of a body are shown.
const SHOWN: usize = 200;

/// Returns whether an error is not of the service: the SDK could not parse the answer. An error without a body says all that
/// it can by its status, as the answer to a HEAD request does, for which the SDK invents the code `NotFound`.
pub fn is_unreadable(operation: &str, code: &str, answer: &HttpResponse) -> bool {
    let is_error = !answer.status().is_success();
    if is_error && operation.starts_with("Head") {
        return false;
    }
    match answer.body().bytes().is_none_or(|body| !body.is_empty()) {
        true => code.is_empty(),
        false => !is_error || code == "NotFound",
    }
}

/// Describes such an answer: its status, what the parser expected, and how the body begins.
pub fn describe(answer: &HttpResponse, cause: Option<&(dyn Error + 'static)>) -> String {
    let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
    let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
    // An answer that was cut off may hold a secret; a page holds none.
    let shown = if answer.status().is_success() && !line.starts_with("<html") && !line.starts_with("<!") {
        0
    } else {
        SHOWN
    };
    let begins: String = line.chars().take(shown).collect();
    let begins = if begins.is_empty() { begins } else { format!("; it begins with `{begins}`") };
    let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
    let status = answer.status().as_u16();
    format!("cannot read the answer, HTTP status {status}{cause}{begins}")
}

#[cfg(test)]
mod tests {
    use crate::{
        aws::{Call as _, Clients, ServiceEndpoint, connect},
        model::{AccessKey, CallError, ErrorKind},
    };
    use std::io::{Read as _, Write as _};

    const PAGE: &str = "<html><body>Login</body></html>";

    /// Answers every request with this status and body.
    async fn proxy(status: u16, body: &'static str) -> Clients {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 16384];
                let _ = stream.read(&mut request).unwrap();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            }
        });
        let access_key = AccessKey::new("sandbox", "sandbox");
        connect(&ServiceEndpoint::Sandbox { url, access_key }, "eu-central-1", None).await
    }

    /// What a read of each protocol makes of the answer: EC2's, REST-XML, JSON and REST-JSON.
    async fn reads(clients: &Clients) -> Vec<CallError> {
        vec![
            clients.ec2.describe_vpcs().send().await.call().unwrap_err(),
            clients.iam.get_role().role_name("x").send().await.call().unwrap_err(),
            clients.s3.get_bucket_versioning().bucket("x").send().await.call().unwrap_err(),
            clients.ecr.describe_repositories().send().await.call().unwrap_err(),
            clients.eks.describe_cluster_versions().send().await.call().unwrap_err(),
        ]
    }

    #[tokio::test]
    async fn a_page_is_shown_and_never_taken_for_an_answer() {
        for status in [200, 403, 404] {
            for error in reads(&proxy(status, PAGE).await).await {
                assert_eq!(error.class, ErrorKind::Ambiguous, "{status}: {error}");
                assert!(error.message.contains("Login"), "{status}: {error}");
                assert!(error.message.contains(&status.to_string()), "{status}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn a_create_whose_answer_was_cut_off_may_have_been_carried_out() {
        let clients = proxy(200, "<CreateVpcResp").await;
        let error = clients.ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.call().unwrap_err();
        assert_eq!(error.class, ErrorKind::Ambiguous, "{error}");
        assert!(!error.message.contains("begins"), "{error}");
    }

    #[tokio::test]
    async fn only_a_head_request_is_answered_by_the_status_alone() {
        let moved = proxy(301, "").await.s3.head_bucket().bucket("x").send().await.call().unwrap_err();
        assert_eq!(moved.class, ErrorKind::Refused, "{moved}");
        let clients = proxy(404, "").await;
        let head = clients.s3.head_bucket().bucket("x").send().await.call().unwrap_err();
        assert_eq!(head.class, ErrorKind::Gone, "{head}");
        let get = clients.s3.get_bucket_versioning().bucket("x").send().await.call().unwrap_err();
        assert_eq!(get.class, ErrorKind::Ambiguous, "{get}");
    }
}
