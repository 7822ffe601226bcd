//! Reads the logs of containers line by line, as they are written.

use super::{KubeClient, errors::call_error};
use crate::model::{CallError, ErrorKind};
use futures_util::{AsyncBufReadExt as _, AsyncReadExt as _, io::AsyncBufRead};
use http::{Method, Request, header};
use serde_json::Value;
use std::{pin::pin, time::Duration};

/// Maximum length of a line, in bytes: a longer one is cut into several.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// How long a log that is not followed may bring nothing.
const STALLED: Duration = Duration::from_secs(60);

/// A run of a container: it restarts under the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerRun {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// How often the container was restarted before this run.
    pub restarts: u64,
}

impl ContainerRun {
    /// Returns the runs of a pod's containers that have begun, and whether each is still running.
    pub fn of(pod: &Value) -> Vec<(ContainerRun, bool)> {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        let begun = |status: &&Value| {
            let has = |path: &str| status.pointer(path).is_some_and(Value::is_object);
            has("/state/running") || has("/state/terminated") || has("/lastState/terminated")
        };
        let all = containers.into_iter().flatten().filter(begun).filter_map(|status| {
            let run = ContainerRun {
                namespace: text("/metadata/namespace"),
                pod: text("/metadata/name"),
                container: status.get("name")?.as_str()?.to_owned(),
                restarts: status.get("restartCount").and_then(Value::as_u64).unwrap_or_default(),
            };
            Some((run, status.pointer("/state/running").is_some_and(Value::is_object)))
        });
        all.collect()
    }
}

/// Which lines of a log are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Whether lines are also read as they are written, until the container ends.
    pub follow: bool,
    /// How many of the last lines are read; `None` for all.
    pub tail: Option<u32>,
    /// Whether the run before the present one is read.
    pub previous: bool,
    /// How old the lines may be, in seconds; `None` for any age.
    pub since_seconds: Option<u64>,
}

impl LogQuery {
    /// Returns the query parameters.
    /// Source: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod>
    fn text(self, container: &str) -> String {
        let tail = self.tail.map_or_else(String::new, |lines| format!("&tailLines={lines}"));
        let since = self.since_seconds.map_or_else(String::new, |seconds| format!("&sinceSeconds={seconds}"));
        format!("container={container}&follow={}&previous={}{tail}{since}", self.follow, self.previous)
    }
}

impl KubeClient {
    /// Reads the log of a container, and hands each line to `show`, until it returns false.
    ///
    /// # Errors
    /// Fails if the log cannot be read. A container that has written nothing yet is no error.
    pub async fn read_log(
        &self,
        run: &ContainerRun,
        query: LogQuery,
        show: &(dyn Fn(&ContainerRun, &str) -> bool + Sync),
    ) -> Result<(), CallError> {
        let ContainerRun { namespace, pod, container, .. } = run;
        let what = format!("read the log of {namespace}/{pod}");
        let query_text = query.text(container);
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?{query_text}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.bearer().await?))
            .body(Vec::new())
            .map_err(|error| CallError::bug(format!("{what}: {error}")))?;
        let answer = self.client.request_stream(request).await;
        let body = answer.map_err(|error| call_error(&what, &self.endpoint, &error))?;
        let cut = |why: String| CallError::new(ErrorKind::Other, format!("{what}: {why}")).hint("run again");
        lines(body, (!query.follow).then_some(STALLED), |line| show(run, line)).await.map_err(cut)
    }
}

/// Hands each line to `take`, until it returns false. Without a line for `patience`, it ends with the reason.
async fn lines(
    body: impl AsyncBufRead,
    patience: Option<Duration>,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), String> {
    let mut body = pin!(body);
    loop {
        let mut line = Vec::new();
        let mut part = body.as_mut().take(MAX_LINE_BYTES);
        let read = part.read_until(b'\n', &mut line);
        let read = match patience {
            Some(time) => tokio::time::timeout(time, read)
                .await
                .map_err(|_| format!("no answer within {} s", time.as_secs()))?,
            None => read.await,
        };
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if !take(text.trim_end_matches(['\n', '\r'])) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn lines_of_any_length_and_bytes_are_read() {
        let long = "x".repeat(100_000);
        let text = format!("one\r\n\n{long}\nend");
        let body = futures_util::io::Cursor::new([text.as_bytes(), b" \xff"].concat());
        let mut found = Vec::new();
        lines(body, None, |line| {
            found.push(line.to_owned());
            true
        })
        .await
        .unwrap();
        let (head, rest) = long.split_at(64 << 10);
        assert_eq!(found, ["one", "", head, rest, "end \u{fffd}"]);
        let slow = futures_util::io::BufReader::new(futures_util::io::AsyncReadExt::chain(
            futures_util::io::Cursor::new(b"a\n"),
            Never,
        ));
        let error = lines(slow, Some(Duration::from_millis(10)), |_| true).await.unwrap_err();
        assert_eq!(error, "no answer within 0 s");
    }

    /// A connection that brings nothing.
    struct Never;

    impl futures_util::io::AsyncRead for Never {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Pending
        }
    }

    #[test]
    fn runs_that_have_begun_are_found() {
        let pod = json!({
            "metadata": {"name": "web-1", "namespace": "shop"},
            "status": {"containerStatuses": [
                {"name": "app", "restartCount": 2, "state": {"waiting": {}}, "lastState": {"terminated": {}}},
                {"name": "new", "restartCount": 0, "state": {"waiting": {}}},
                {"name": "side", "restartCount": 0, "state": {"running": {}}},
            ]},
        });
        let found: Vec<(String, u64, bool)> = ContainerRun::of(&pod)
            .into_iter()
            .map(|(run, running)| (run.container, run.restarts, running))
            .collect();
        assert_eq!(found, [("app".to_owned(), 2, false), ("side".to_owned(), 0, true)]);
        assert!(ContainerRun::of(&json!({"metadata": {"name": "a"}})).is_empty());
    }
}
