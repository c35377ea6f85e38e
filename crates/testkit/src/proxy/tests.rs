use std::io::ErrorKind;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::time::{Instant, timeout};

use super::*;

/// For so long nothing must come where silence is to be proved.
const SILENCE: Duration = Duration::from_millis(100);
/// Nothing here takes as long.
const BOUND: Duration = Duration::from_secs(10);

/// A server that says its word and then what it hears.
async fn echo(word: &'static [u8]) -> Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if stream.write_all(word).await.is_ok() {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                }
            });
        }
    });
    Ok((address, AbortOnDropHandle::new(serving)))
}

async fn client(proxy: &Proxy) -> Result<TcpStream> {
    Ok(TcpStream::connect(proxy.address()).await?)
}

/// Says something and hears it.
async fn ask(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    let mut heard = vec![0; text.len()];
    timeout(BOUND, stream.read_exact(&mut heard)).await??;
    assert_eq!(heard, text);
    Ok(())
}

/// How reading ends: what came, and the kind of error if it was no orderly end.
async fn end(stream: &mut TcpStream) -> Result<(Vec<u8>, Option<ErrorKind>)> {
    let mut heard = Vec::new();
    let read = timeout(BOUND, stream.read_to_end(&mut heard)).await?;
    Ok((heard, read.err().map(|error| error.kind())))
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn carries_both_ways_and_passes_an_end_on() -> Result<()> {
    let (server, _serving) = echo(b"").await?;
    let proxy = Proxy::start(server)?;
    let mut stream = client(&proxy).await?;
    let long: Vec<u8> = (0..=u8::MAX).cycle().take(1_000_000).collect();
    let (mut from, mut to) = stream.split();
    let said = async {
        to.write_all(&long).await?;
        to.shutdown().await
    };
    let mut heard = Vec::new();
    timeout(BOUND, async {
        tokio::try_join!(said, from.read_to_end(&mut heard))
    })
    .await??;
    assert!(heard == long);
    Ok(())
}

#[tokio::test]
async fn a_socket_is_a_target_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("server");
    let listener = UnixListener::bind(&path)?;
    let proxy = Proxy::start(path)?;
    let mut stream = client(&proxy).await?;
    stream.write_all(b"hello").await?;
    let (mut accepted, _) = listener.accept().await?;
    let mut heard = [0; 5];
    timeout(BOUND, accepted.read_exact(&mut heard)).await??;
    assert_eq!(&heard, b"hello");
    Ok(())
}

#[tokio::test]
async fn another_target_takes_new_connections() -> Result<()> {
    let (first, _first) = echo(b"1").await?;
    let (second, _second) = echo(b"2").await?;
    let proxy = Proxy::start(first)?;
    let mut old = client(&proxy).await?;
    assert_eq!(old.read_u8().await?, b'1');
    proxy.set_target(second);
    ask(&mut old, b"still").await?;
    proxy.reset();
    assert_eq!(end(&mut old).await?.1, Some(ErrorKind::ConnectionReset));
    let mut new = client(&proxy).await?;
    assert_eq!(new.read_u8().await?, b'2');
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_resets() -> Result<()> {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?;
    let proxy = Proxy::start(gone)?;
    let mut stream = client(&proxy).await?;
    assert_eq!(end(&mut stream).await?.1, Some(ErrorKind::ConnectionReset));
    Ok(())
}

#[tokio::test]
async fn latency_delays_without_narrowing() -> Result<()> {
    let (server, _serving) = echo(b"").await?;
    let proxy = Proxy::start(server)?;
    let mut stream = client(&proxy).await?;
    proxy.latency(SILENCE);
    let start = Instant::now();
    ask(&mut stream, b"a").await?;
    assert!(start.elapsed() >= 2 * SILENCE);
    proxy.latency(Duration::ZERO);
    ask(&mut stream, b"b").await?;
    Ok(())
}

#[tokio::test]
async fn drips_and_stops_dripping() -> Result<()> {
    let (server, _serving) = echo(b"").await?;
    let proxy = Proxy::start(server)?;
    let mut stream = client(&proxy).await?;
    proxy.drip(Direction::Down, 2, SILENCE);
    stream.write_all(b"abcd").await?;
    let mut heard = [0; 2];
    stream.read_exact(&mut heard).await?;
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 8]).await?, 2);
    // The pause began a moment before its first bytes were read here.
    assert!(start.elapsed() >= SILENCE / 2);
    proxy.drip(Direction::Down, 0, Duration::ZERO);
    ask(&mut stream, &[7; 10_000]).await?;
    Ok(())
}

#[tokio::test]
async fn cut_closes_and_refuses_until_it_is_healed() -> Result<()> {
    let (server, _serving) = echo(b"").await?;
    let proxy = Proxy::start(server)?;
    let mut stream = client(&proxy).await?;
    ask(&mut stream, b"a").await?;
    proxy.cut();
    assert_eq!(end(&mut stream).await?, (Vec::new(), None));
    let refused = async {
        let mut stream = client(&proxy).await?;
        ask(&mut stream, b"b").await?;
        anyhow::Ok(())
    };
    assert!(refused.await.is_err());
    proxy.heal();
    ask(&mut client(&proxy).await?, b"c").await?;
    Ok(())
}

#[tokio::test]
async fn half_open_swallows_for_good() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let proxy = Proxy::start(listener.local_addr()?)?;
    let mut old = client(&proxy).await?;
    let (mut accepted, _) = listener.accept().await?;
    old.write_all(b"a").await?;
    assert_eq!(accepted.read_u8().await?, b'a');

    proxy.half_open();
    let mut new = client(&proxy).await?;
    for stream in [&mut old, &mut new, &mut accepted] {
        stream.write_all(b"b").await?;
    }
    for stream in [&mut old, &mut new, &mut accepted] {
        assert!(is_silent(stream).await);
    }
    // Not even an end arrives.
    old.shutdown().await?;
    assert!(is_silent(&mut accepted).await);

    proxy.heal();
    assert_eq!(end(&mut accepted).await?.0, b"");
    assert!(is_silent(&mut new).await);
    let mut healed = client(&proxy).await?;
    let (mut accepted, _) = listener.accept().await?;
    healed.write_all(b"c").await?;
    assert_eq!(accepted.read_u8().await?, b'c');
    Ok(())
}

#[tokio::test]
async fn truncates_the_next_connection_only() -> Result<()> {
    let (server, _serving) = echo(b"").await?;
    let proxy = Proxy::start(server)?;
    proxy.truncate_after(3);
    let mut stream = client(&proxy).await?;
    stream.write_all(b"abcdef").await?;
    assert_eq!(end(&mut stream).await?, (b"abc".to_vec(), None));
    ask(&mut client(&proxy).await?, b"abcdef").await?;
    Ok(())
}

#[tokio::test]
async fn loses_one_answer() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let proxy = Proxy::start(listener.local_addr()?)?;
    let mut stream = client(&proxy).await?;
    let (mut server, _) = listener.accept().await?;
    proxy.lose_answer(1);
    for (text, lost) in [(b'a', false), (b'b', true)] {
        stream.write_u8(text).await?;
        // It arrived, whatever becomes of the answer.
        assert_eq!(server.read_u8().await?, text);
        server.write_u8(text).await?;
        if lost {
            let (heard, error) = end(&mut stream).await?;
            assert_eq!(
                (heard, error),
                (Vec::new(), Some(ErrorKind::ConnectionReset))
            );
        } else {
            assert_eq!(stream.read_u8().await?, text);
        }
        assert_eq!(proxy.lost_answer(), lost);
    }
    assert!(proxy.keep_answers());
    assert!(!proxy.lost_answer());
    Ok(())
}

#[tokio::test]
async fn stands_before_a_database() -> Result<()> {
    use sqlx::{ConnectOptions as _, Connection as _};

    let (proxy, through) = Proxy::before(&crate::database::fresh().await?)?;
    let mut connection = through.connect().await?;
    connection.ping().await?;
    assert_eq!(proxy.open(), 1);
    proxy.reset();
    assert!(connection.ping().await.is_err());
    Ok(())
}
