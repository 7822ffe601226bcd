//! A registry that answers without end, and one that asks for a token.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::os::hostile::{Answer, Hostile};

fn registry(server: &Hostile) -> Registry {
    Registry::new(format!("{}/base/python:3.12", server.host()).parse().unwrap())
}

fn text(error: ImageError) -> String {
    error.into_call_error().message
}

#[tokio::test]
async fn a_manifest_without_end_is_cut() {
    let server = Hostile::start(|_| Answer::endless("200 OK", ""));
    let said = text(registry(&server).manifest_by_tag().await.unwrap_err());
    assert!(said.contains("base/python:3.12: its registry sent more than 4194304 bytes"), "{said}");
    assert!(server.sent() < 64 << 20, "{}", server.sent());
}

#[tokio::test]
async fn a_token_without_end_is_cut() {
    let server = Hostile::start(|request| {
        if request.starts_with("GET /token?scope=") {
            return Answer::endless("200 OK", "");
        }
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let head = format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"r\"\r\n");
        Answer::whole("401 Unauthorized", &head, "{}")
    });
    let said = text(registry(&server).manifest_by_tag().await.unwrap_err());
    assert!(said.contains("its registry sent more than 1048576 bytes"), "{said}");
    assert!(server.sent() < 64 << 20, "{}", server.sent());
}

#[tokio::test]
async fn an_error_without_end_is_quoted_at_its_beginning() {
    let server = Hostile::start(|_| Answer::endless("404 Not Found", ""));
    let said = text(registry(&server).manifest("sha256:0").await.unwrap_err());
    assert!(said.contains("its registry answered 404 Not Found: xxx") && said.len() < 600, "{said}");
}

#[tokio::test]
async fn a_blob_ends_at_its_size() {
    let server = Hostile::start(|_| Answer::endless("200 OK", ""));
    let mut to = Vec::new();
    assert!(registry(&server).blob("sha256:0", 100_000, &mut to).await.is_err());
    assert!(to.len() <= 100_000);
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_sent() {
    let server = Hostile::start(|request| {
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        if request.starts_with("GET /token?scope=repository%3Abase%2Fpython%3Apull&service=r") {
            Answer::whole("200 OK", "", "{\"access_token\": \"secret\"}")
        } else if request.contains("authorization: Bearer secret") {
            Answer::whole("200 OK", "", "manifest")
        } else {
            let head = format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"r\"\r\n");
            Answer::whole("401 Unauthorized", &head, "")
        }
    });
    let registry = registry(&server);
    for _ in 0..2 {
        assert_eq!(registry.manifest_by_tag().await.unwrap(), b"manifest");
    }
    assert_eq!(server.requests(), 4, "one without a token, one for it, two with it");
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_without_the_token() {
    let elsewhere = Hostile::start(|request| match request.contains("authorization") {
        true => Answer::whole("403 Forbidden", "", "a token was sent"),
        false => Answer::whole("200 OK", "", "blob"),
    });
    let to = elsewhere.host();
    let server = Hostile::start(move |_| {
        Answer::whole(
            "307 Temporary Redirect",
            &format!("location: http://localhost:{}/b\r\n", to.rsplit_once(':').unwrap().1),
            "",
        )
    });
    let registry = registry(&server);
    *registry.token.write().unwrap() = Some("secret".to_owned());
    let mut to = Vec::new();
    registry.blob("sha256:0", 100, &mut to).await.unwrap();
    assert_eq!(to, b"blob");
}
