//! The client against one-shot servers that speak raw bytes: what no well-behaved
//! server does.

use std::net::SocketAddr;

use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::disposition::{Absence, Disposition, of_create};
use crate::lines::Line;

const DEADLINE: Duration = Duration::from_secs(20);
const BATCH: &str = r#"{"id":"msgbatch_1","processing_status":"ended","request_counts":{"succeeded":1},"created_at":"2026-11-22T16:00:00Z","expires_at":"2026-11-23T16:00:00Z","results_url":"https://elsewhere.example:9/v1/odd/path?sig=1%2F2"}"#;

/// Reads one request; then does with it what `answer` says. Gives what it read.
struct Server {
    addr: SocketAddr,
    served: JoinHandle<String>,
}

enum Answer {
    /// These bytes, then an orderly close.
    Bytes(String),
    /// A close without a word, after this many bytes were read.
    CloseAfter(usize),
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            match answer {
                Answer::Bytes(bytes) => {
                    let request = read_request(&mut socket, usize::MAX).await;
                    socket.write_all(bytes.as_bytes()).await.unwrap();
                    socket.shutdown().await.unwrap();
                    request
                }
                Answer::CloseAfter(most) => read_request(&mut socket, most).await,
            }
        });
        Self { addr, served }
    }

    fn client(&self) -> Client {
        client(&format!("http://{}/", self.addr))
    }
}

fn client(base: &str) -> Client {
    Client::new(Config::new(base, "sk-ant-secret".into())).unwrap()
}

/// One request: head and as much body as its content-length says, `most` at most.
async fn read_request(socket: &mut TcpStream, most: usize) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length || read.len() >= most {
                return text;
            }
        }
        let mut chunk = [0; 4096];
        match socket.read(&mut chunk).await.unwrap() {
            0 => return text,
            n => read.extend_from_slice(&chunk[..n]),
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> Answer {
    Answer::Bytes(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\ndate: Sun, 22 Nov 2026 16:00:00 GMT\r\nrequest-id: req_7\r\n{headers}\r\n{body}",
        body.len()
    ))
}

fn body(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + use<> {
    stream::iter(
        parts
            .iter()
            .map(|part| Ok(Bytes::from_static(part.as_bytes())))
            .collect::<Vec<_>>(),
    )
}

#[tokio::test]
async fn create_sends_a_known_length_and_the_pinned_version() {
    let server = Server::start(http("200 OK", "", BATCH)).await;
    let answer = server
        .client()
        .create_batch(6, body(&["abc", "def"]), DEADLINE)
        .await
        .unwrap();
    assert_eq!(answer.value.id, "msgbatch_1");
    assert_eq!(answer.request_id.as_deref(), Some("req_7"));
    assert_eq!(answer.date.unwrap().unix_timestamp(), 1_795_363_200);
    let request = server.served.await.unwrap();
    assert!(
        request.starts_with("POST /v1/messages/batches HTTP/1.1\r\n"),
        "{request}"
    );
    for header in [
        "content-length: 6\r\n",
        "anthropic-version: 2026-10-21\r\n",
        "x-api-key: sk-ant-secret\r\n",
        "content-type: application/json\r\n",
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
    assert!(!request.contains("transfer-encoding") && !request.contains("accept-encoding"));
    assert!(request.ends_with("\r\n\r\nabcdef"), "{request}");
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list() {
    for (page, whole) in [
        (r#"{"data":[],"has_more":false}"#, true),
        (
            r#"{"data":[],"has_more":true,"last_id":"msgbatch_1"}"#,
            false,
        ),
        (r#"{"data":[BATCH],"has_more":true}"#, false),
        (
            r#"{"data":[BATCH],"has_more":true,"last_id":"msgbatch_1"}"#,
            true,
        ),
    ] {
        let server = Server::start(http("200 OK", "", &page.replace("BATCH", BATCH))).await;
        let read = server.client().batches(1000, None, None).await;
        assert_eq!(read.is_ok(), whole, "{page}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_uncertain_a_cut_body_is_not() {
    let server = Server::start(Answer::CloseAfter(usize::MAX)).await;
    let error = server
        .client()
        .create_batch(6, body(&["abcdef"]), DEADLINE)
        .await
        .unwrap_err();
    assert_eq!(of_create(&error), Disposition::Uncertain, "{error:?}");

    // The server hangs up while the source still has its last byte to give.
    let server = Server::start(Answer::CloseAfter(1)).await;
    let endless = body(&["abc"]).chain(stream::pending());
    let error = server
        .client()
        .create_batch(6, endless, DEADLINE)
        .await
        .unwrap_err();
    assert_eq!(
        of_create(&error),
        Disposition::NotCreated(Absence::BodyCut),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_deadline_within_the_body_is_not_uncertain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    let endless = body(&["abc"]).chain(stream::pending());
    let error = client
        .create_batch(6, endless, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Timeout { body_sent: false }),
        "{error:?}"
    );
}

#[tokio::test]
async fn results_that_drip_are_given_up_and_what_came_stands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(
        format!("http://{}", listener.local_addr().unwrap()),
        "sk-ant-secret".into(),
    );
    // Whole windows pass, and each has too little.
    (config.pace_bytes, config.pace_window) = (1_000, Duration::from_millis(20));
    let client = Client::new(config).unwrap();
    let batch: MessageBatch = serde_json::from_str(BATCH).unwrap();
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket, usize::MAX).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}\n{\"half";
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    };
    let (_open, results) = tokio::join!(serve, client.results(&batch));
    let mut results = results.unwrap();
    let first = results.next_line().await.unwrap();
    assert!(matches!(first, Some(Line::Whole { bytes, .. }) if &bytes[..] == b"{}"));
    let slow = results.next_line().await.unwrap_err();
    assert!(matches!(slow, Error::Slow), "{slow:?}");
    assert!(results.next_line().await.unwrap().is_none(), "it is over");
}

/// The worker's loops run as tasks, so what they await must be `Send`.
#[test]
fn every_call_can_be_awaited_in_a_task() {
    fn can<F: Future + Send>(_call: F) {}
    let client = client("http://127.0.0.1:1");
    let batch: MessageBatch = serde_json::from_str(BATCH).unwrap();
    can(client.create_batch(3, body(&["abc"]), DEADLINE));
    can(client.batch("a"));
    can(client.batches(20, None, None));
    can(client.cancel_batch("a"));
    can(client.delete_batch("a"));
    can(async { client.results(&batch).await.unwrap().next_line().await });
    can(client.message(Bytes::new(), DEADLINE));
    can(client.count_tokens(Bytes::new()));
    can(client.models(20, None));
}

#[tokio::test]
async fn a_source_that_fails_is_told_and_never_completes_the_body() {
    let server = Server::start(Answer::CloseAfter(usize::MAX)).await;
    let failing = body(&["abc"]).chain(stream::iter([Err(std::io::Error::other("row gone"))]));
    let error = server
        .client()
        .create_batch(6, failing, DEADLINE)
        .await
        .unwrap_err();
    let Error::Body { source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.to_string(), "row gone");
    assert!(!server.served.await.unwrap().ends_with("abcdef"));
}

#[tokio::test]
async fn nobody_there_is_not_created() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = client(&format!("http://{addr}"))
        .create_batch(3, body(&["abc"]), DEADLINE)
        .await
        .unwrap_err();
    assert_eq!(
        of_create(&error),
        Disposition::NotCreated(Absence::NoConnection),
        "{error:?}"
    );
}

#[tokio::test]
async fn errors_by_form() {
    let envelope = r#"{"type":"error","error":{"type":"rate_limit_error","message":"sk-ant-secret","details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_8"}"#;
    let server = Server::start(http(
        "429 Too Many Requests",
        "retry-after: 3\r\n",
        envelope,
    ))
    .await;
    let error = server.client().batch("msgbatch_1").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sk-ant-secret"));
    let Error::Api(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (error.status, error.code.as_deref()),
        (429, Some("ramp_limit_exceeded"))
    );
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    assert_eq!(error.request_id.as_deref(), Some("req_7"));

    let server = Server::start(http("502 Bad Gateway", "", "<html>oops</html>")).await;
    let error = server.client().batch("msgbatch_1").await.unwrap_err();
    assert!(
        matches!(error, Error::Unreadable { status: 502, .. }),
        "{error:?}"
    );

    let server = Server::start(http("200 OK", "", r#"{"id":"msgbatch_"#)).await;
    let error = server
        .client()
        .create_batch(3, body(&["abc"]), DEADLINE)
        .await
        .unwrap_err();
    assert_eq!(of_create(&error), Disposition::Uncertain, "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let location = format!(
        "location: http://{}/v1/models\r\n",
        other.local_addr().unwrap()
    );
    let server = Server::start(http("307 Temporary Redirect", &location, "")).await;
    let error = server.client().models(20, None).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreadable { status: 307, .. }),
        "{error:?}"
    );
    let knocked = other.accept().map_err(|error| error.kind());
    assert!(
        matches!(knocked, Err(std::io::ErrorKind::WouldBlock)),
        "{knocked:?}"
    );
}

#[tokio::test]
async fn results_come_from_the_configured_host_only() {
    let lines = "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}";
    let server = Server::start(http("200 OK", "", lines)).await;
    let batch: MessageBatch = serde_json::from_str(BATCH).unwrap();
    let mut results = server.client().results(&batch).await.unwrap();
    let mut got = Vec::new();
    while let Some(line) = results.next_line().await.unwrap() {
        let Line::Whole { bytes, terminated } = line else {
            panic!("{line:?}")
        };
        got.push((bytes.len(), terminated));
    }
    assert_eq!(got, [(17, true), (17, false)]);
    let request = server.served.await.unwrap();
    assert!(
        request.starts_with("GET /v1/odd/path?sig=1%2F2 HTTP/1.1\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_download_that_breaks_off_is_an_error() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"a\":1}\n{\"b\"";
    let server = Server::start(Answer::Bytes(cut.to_owned())).await;
    let batch: MessageBatch = serde_json::from_str(BATCH).unwrap();
    let mut results = server.client().results(&batch).await.unwrap();
    assert!(matches!(
        results.next_line().await,
        Ok(Some(Line::Whole { .. }))
    ));
    assert!(matches!(
        results.next_line().await,
        Err(Error::Transport { .. })
    ));
}

#[tokio::test]
async fn a_base_url_keeps_its_prefix_and_an_id_stays_one_segment() {
    let base = client("http://proxy.example/anthropic/");
    let url = base.url(&["v1", "messages", "batches", "a/../b?c"]);
    assert_eq!(
        url.as_str(),
        "http://proxy.example/anthropic/v1/messages/batches/a%2F..%2Fb%3Fc"
    );
    for wrong in ["", "ftp://x", "localhost:80", "/v1"] {
        let error = Client::new(Config::new(wrong, "k".into())).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{wrong}");
    }
    assert!(!format!("{:?}", Config::new("http://x", "sk-ant-secret".into())).contains("secret"));
}

#[test]
fn a_server_on_this_machine_is_told_by_its_host() {
    for (url, here) in [
        ("http://127.0.0.1:8080", true),
        ("http://127.8.8.8", true),
        ("http://localhost:1", true),
        ("http://[::1]:9", true),
        ("https://api.anthropic.com", false),
        ("http://10.0.0.1", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(super::is_loopback(&url.parse().unwrap()), here, "{url}");
    }
}
