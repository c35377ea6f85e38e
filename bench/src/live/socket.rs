//! A WebSocket client that costs little: the machine is the server's.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than any frame, or answer to a handshake, that is expected.
const LONGEST: usize = 4 << 20;

/// Where sockets lead to.
#[derive(Clone, Debug)]
pub struct To {
    /// Of the server.
    pub address: SocketAddr,
    /// `/v1/live`, or that of another server.
    pub path: String,
    /// An API key; `-` of a server that asks for none.
    pub key: String,
}

impl To {
    /// Of a server's URL.
    pub fn new(url: &str, path: &str, key: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("no URL")?;
        Ok(Self {
            address: address.parse()?,
            path: path.to_owned(),
            key: key.to_owned(),
        })
    }

    /// What asks for the upgrade.
    pub fn request(&self) -> String {
        let Self { address, path, key } = self;
        format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: b2ZmcGVhay1iZW5jaC1rZXk=\r\nauthorization: Bearer {key}\r\n\r\n"
        )
    }

    /// A connection, from an address of this machine, with little room for what
    /// it does not read.
    pub async fn connect(&self, from: Option<IpAddr>, room: Option<u32>) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(room) = room {
            socket.set_recv_buffer_size(room)?;
        }
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// What a server sent.
#[derive(Debug)]
pub enum Message {
    /// A text.
    Text(Bytes),
    /// The end, with its code.
    Close(u16),
}

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// What was read and not looked at yet.
    read: BytesMut,
}

impl Socket {
    /// Connects and upgrades.
    pub async fn open(to: &To) -> Result<Self> {
        Self::upgrade(to.connect(None, None).await?, to).await
    }

    /// Upgrades a connection.
    pub async fn upgrade(mut stream: TcpStream, to: &To) -> Result<Self> {
        stream.write_all(to.request().as_bytes()).await?;
        let mut read = BytesMut::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(read.len() < LONGEST, "no end of the answer");
            ensure!(
                stream.read_buf(&mut read).await? > 0,
                "closed in the handshake"
            );
        };
        let answer = read.split_to(end);
        let head = String::from_utf8_lossy(&answer);
        let status = head.lines().next().unwrap_or_default();
        ensure!(status.contains(" 101 "), "no upgrade: {status}");
        Ok(Self { stream, read })
    }

    /// Opens one that follows topics, separated by commas, from now on.
    pub async fn follow(to: &To, topics: &str) -> Result<Self> {
        let mut socket = Self::open(to).await?;
        socket.say(&hello(topics)).await?;
        match socket.next().await? {
            Some(Message::Text(text)) if text.starts_with(br#"{"t":"hello""#) => Ok(socket),
            other => bail!("no hello, but {other:?}"),
        }
    }

    /// Sends a text.
    pub async fn say(&mut self, text: &str) -> Result<()> {
        self.send(0x1, text.as_bytes()).await
    }

    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = header(opcode, payload.len());
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next message; none when the connection was closed without a word.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            while let Some((opcode, payload)) = frame(&mut self.read)? {
                match opcode {
                    0x1 => return Ok(Some(Message::Text(payload))),
                    0x8 => {
                        let code = payload.get(..2).map_or(0, |mut two| two.get_u16());
                        return Ok(Some(Message::Close(code)));
                    }
                    0x9 => self.send(0xa, &payload).await?,
                    0xa => {}
                    other => bail!("an opcode {other} was not expected"),
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The bare connection, to do with it what no client should.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// The first message of a client: of one that wants the last state alone where the
/// topics begin with `view,`.
pub fn hello(topics: &str) -> String {
    let (mode, topics) = match topics.strip_prefix("view,") {
        Some(topics) => ("view", topics),
        None => ("events", topics),
    };
    let topics: Vec<&str> = topics.split(',').collect();
    serde_json::json!({ "t": "hello", "mode": mode, "topics": topics }).to_string()
}

/// Of a client's frame, under a mask that changes nothing.
pub fn header(opcode: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        frame.push(0x80 | short);
    } else if let Ok(medium) = u16::try_from(length) {
        frame.push(0xfe);
        frame.extend(medium.to_be_bytes());
    } else {
        frame.push(0xff);
        frame.extend((length as u64).to_be_bytes());
    }
    frame.extend([0; 4]);
    frame
}

/// The next frame, if it was read whole.
pub fn frame(read: &mut BytesMut) -> Result<Option<(u8, Bytes)>> {
    let mut head: &[u8] = read;
    let whole = head.len();
    if whole < 2 {
        return Ok(None);
    }
    let (first, second) = (head.get_u8(), head.get_u8());
    ensure!(
        first & 0xf0 == 0x80 && second < 0x80,
        "a frame in parts, or masked"
    );
    let length = match second {
        126 if head.len() >= 2 => usize::from(head.get_u16()),
        127 if head.len() >= 8 => usize::try_from(head.get_u64())?,
        126 | 127 => return Ok(None),
        short => usize::from(short),
    };
    ensure!(length < LONGEST, "a frame of {length} bytes");
    if head.len() < length {
        return Ok(None);
    }
    let skip = whole - head.len();
    read.advance(skip);
    Ok(Some((first & 0xf, read.split_to(length).freeze())))
}
