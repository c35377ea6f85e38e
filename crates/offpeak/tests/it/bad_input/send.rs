//! Sends a row as it stands: no library between that would mend it.

use anyhow::{Context, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::facts::Facts;
use super::row::{Cut, Row};
use crate::api::{Answer, Api};

pub(super) async fn answer(api: &Api, facts: &Facts, row: &Row) -> Result<Answer> {
    let body = facts.bytes(&row.body)?;
    let mut bytes = facts.bytes(&row.send)?;
    bytes.extend_from_slice(b" HTTP/1.1\r\nhost: offpeak\r\nconnection: close\r\n");
    let key = [("authorization", row.key.as_str())];
    let given = row.headers.iter().map(|[name, value]| (&**name, &**value));
    for (name, value) in key
        .into_iter()
        .filter(|(_, key)| !key.is_empty())
        .chain(given)
    {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend(facts.bytes(value)?);
        bytes.extend_from_slice(b"\r\n");
    }
    let framing = match row.cut {
        None => format!("content-length: {}\r\n\r\n", body.len()),
        Some(Cut::Length) => format!("content-length: {}\r\n\r\n", body.len() + 9),
        Some(Cut::Chunk) => {
            let size = body.len() + 9;
            format!("transfer-encoding: chunked\r\n\r\n{size:x}\r\n")
        }
        Some(Cut::End) => format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()),
        Some(Cut::Size) => "transfer-encoding: chunked\r\n\r\nsize\r\n".to_owned(),
    };
    bytes.extend_from_slice(framing.as_bytes());
    bytes.extend(body);
    if row.cut == Some(Cut::End) {
        bytes.extend_from_slice(b"\r\n");
    }

    raw(api, &bytes, row.cut.is_some()).await
}

/// What comes back for these bytes, after which the client may fall silent.
pub(super) async fn raw(api: &Api, bytes: &[u8], silent: bool) -> Result<Answer> {
    let mut socket = TcpStream::connect(api.url.trim_start_matches("http://")).await?;
    socket.write_all(bytes).await?;
    if silent {
        socket.shutdown().await?;
    }
    let mut text = Vec::new();
    socket.read_to_end(&mut text).await?;
    read(&text).with_context(|| format!("{:?}", String::from_utf8_lossy(&text)))
}

fn read(text: &[u8]) -> Result<Answer> {
    let text = std::str::from_utf8(text)?;
    let (head, text) = text.split_once("\r\n\r\n").context("no head")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").context("no header")?;
        headers.append(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
    }
    Ok(Answer {
        status: status.context("no status")?.parse()?,
        headers,
        text: text.to_owned(),
    })
}
