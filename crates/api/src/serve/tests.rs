use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Patience, serve};
use crate::line::Line;
use crate::pace::Rate;

/// A request without a body.
const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Served {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn new(router: Router, patience: Patience) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, router, patience, stop.clone()));
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ends(self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(10), self.serving).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// Short enough to be waited for, each of another length.
fn short() -> Patience {
    let millis = Duration::from_millis;
    Patience {
        connections: 3,
        head: millis(200),
        idle: millis(400),
        body: Rate {
            bytes: 1_000,
            within: millis(300),
        },
        answer: Rate {
            bytes: 1_000,
            within: millis(300),
        },
    }
}

async fn count(body: Body) -> String {
    match crate::body::read(body).await {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(error) => error.detail().to_owned(),
    }
}

async fn served() -> Served {
    let router = Router::new().route("/", get("here").post(count));
    Served::new(router, short()).await
}

/// All that comes until the server ends the connection.
async fn all(client: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = client.read_to_string(&mut text);
    timeout(Duration::from_secs(10), read)
        .await
        .unwrap()
        .unwrap();
    text
}

/// What comes first.
async fn some(client: &mut TcpStream) -> String {
    let mut text = vec![0; 10_000];
    let count = client.read(&mut text).await.unwrap();
    String::from_utf8_lossy(&text[..count]).into_owned()
}

#[tokio::test]
async fn a_connection_ends_although_its_client_takes_nothing() {
    let (lines, mut open) = mpsc::channel(1);
    let endless = move |ConnectInfo(line): ConnectInfo<Line>| async move {
        lines.send(line).await.unwrap();
        Body::from("x".repeat(100_000_000))
    };
    let router = Router::new().route("/", get(endless));
    let served = Served::new(router, Patience::default()).await;
    let mut client = served.connect().await;
    client.write_all(ASK).await.unwrap();
    let line = open.recv().await.unwrap();
    // It waits for the client, and nobody else would end that.
    let gone = timeout(Duration::from_millis(200), line.gone()).await;
    assert!(gone.is_err());
    line.cut();
    timeout(Duration::from_secs(10), line.gone()).await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap_err();
    assert!(all.len() < 100_000_000);
    served.ends().await;
}

#[tokio::test]
async fn whoever_takes_nothing_for_too_long_is_let_go() {
    let (lines, mut open) = mpsc::channel(1);
    let endless = move |ConnectInfo(line): ConnectInfo<Line>| async move {
        lines.send(line).await.unwrap();
        Body::from("x".repeat(100_000_000))
    };
    let served = Served::new(Router::new().route("/", get(endless)), short()).await;
    let mut client = served.connect().await;
    client.write_all(ASK).await.unwrap();
    let line = open.recv().await.unwrap();
    timeout(Duration::from_secs(10), line.gone()).await.unwrap();
    served.ends().await;
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let served = served().await;
    let mut silent = served.connect().await;
    let mut slow = served.connect().await;
    let began = Instant::now();
    assert_eq!(all(&mut silent).await, "");
    assert!(began.elapsed() >= short().head);
    // Byte by byte is no better.
    let mut ticks = interval(Duration::from_millis(5));
    let began = Instant::now();
    while slow.write_all(b"x").await.is_ok() {
        ticks.tick().await;
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    served.ends().await;
}

#[tokio::test]
async fn a_client_may_pause_between_requests_for_a_while() {
    let served = served().await;
    let mut client = served.connect().await;
    client.write_all(ASK).await.unwrap();
    assert!(some(&mut client).await.ends_with("here"));
    // Longer than a head may take.
    let paused = timeout(Duration::from_millis(250), client.read_u8()).await;
    assert!(paused.is_err());
    client.write_all(ASK).await.unwrap();
    assert!(some(&mut client).await.ends_with("here"));
    let began = Instant::now();
    assert_eq!(all(&mut client).await, "");
    assert!(began.elapsed() >= short().idle);
    served.ends().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_an_answer() {
    let served = served().await;
    let mut client = served.connect().await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123";
    client.write_all(head).await.unwrap();
    let answer = all(&mut client).await;
    let says = "less than 1000 bytes of the body came in 300ms; send it faster, or in several \
                requests";
    assert!(answer.ends_with(says), "{answer}");
    served.ends().await;
}

#[tokio::test]
async fn beyond_the_last_place_a_connection_is_told_so() {
    let served = served().await;
    let mut first = served.connect().await;
    let others = [served.connect().await, served.connect().await];
    let mut beyond = served.connect().await;
    let answer = some(&mut beyond).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 10"), "{answer}");
    first.write_all(ASK).await.unwrap();
    assert!(some(&mut first).await.ends_with("here"));
    drop(others);
    // Their places are free as soon as the server has seen them go.
    loop {
        let mut next = served.connect().await;
        let asked = next.write_all(ASK).await;
        let mut text = String::new();
        if asked.is_ok() && next.read_to_string(&mut text).await.is_ok() && text.contains("200 OK")
        {
            break;
        }
    }
    served.ends().await;
}

#[tokio::test]
async fn what_is_no_http_any_more_may_be_silent() {
    let upgrade = |mut request: Request| async move {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgraded));
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        });
        (
            StatusCode::SWITCHING_PROTOCOLS,
            [("connection", "upgrade"), ("upgrade", "echo")],
        )
    };
    let served = Served::new(Router::new().route("/", get(upgrade)), short()).await;
    let mut client = served.connect().await;
    let ask = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write_all(ask).await.unwrap();
    assert!(some(&mut client).await.starts_with("HTTP/1.1 101 "));
    let silent = timeout(short().idle * 2, client.read_u8()).await;
    assert!(silent.is_err());
    client.write_all(b"!").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    drop(client);
    served.ends().await;
}
