use super::embedded::judge;
use super::{Embedded, FOR_EVER, Files, POLICY};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use sha2::{Digest as _, Sha256};

const INDEX: &str = r#"<!doctype html><script type="module" src="/assets/index-a1.js"></script>
    <link rel="stylesheet" href="./assets/index-b2.css"><link rel="icon" href="data:,">
    <a href="/elsewhere.html">x</a>"#;

fn files(all: &[(&str, &str)]) -> Files {
    Files::new(all.iter().map(|(name, text)| {
        let bytes = text.as_bytes().to_vec();
        let hash = Sha256::digest(&bytes).into();
        ((*name).to_owned(), bytes.into(), hash)
    }))
}

fn built() -> Files {
    files(&[
        ("index.html", INDEX),
        ("index.html.br", "brotli of the page"),
        ("index.html.gz", "gzip of the page"),
        ("assets/index-a1.js", "plain"),
        ("assets/index-a1.js.br", "brotli"),
        ("assets/index-a1.js.gz", "gzip"),
        ("assets/index-b2.css", "body{}"),
        ("favicon.svg", "<svg/>"),
        ("manifest.json", r#"{"hash": "abc"}"#),
    ])
}

fn ask(path: &str, headers: &[(HeaderName, &str)]) -> Option<Response> {
    ask_of(&built(), path, headers)
}

fn ask_of(files: &Files, path: &str, headers: &[(HeaderName, &str)]) -> Option<Response> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    files.answer(&Method::GET, path, &map)
}

fn of(answer: &Response, name: HeaderName) -> &str {
    let value = answer.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[test]
fn each_client_gets_the_shortest_form_that_it_reads() {
    for (accepts, coding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("identity", ""),
        ("", ""),
    ] {
        let asked = [(header::ACCEPT_ENCODING, accepts)];
        let answer = ask("/assets/index-a1.js", &asked).unwrap();
        assert_eq!(of(&answer, header::CONTENT_ENCODING), coding, "{accepts}");
        assert_eq!(of(&answer, header::VARY), "accept-encoding");
        assert_eq!(
            of(&answer, header::CONTENT_TYPE),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(answer.headers()[header::CACHE_CONTROL], FOR_EVER);
    }
    // One that was not packed goes as it is.
    let asked = [(header::ACCEPT_ENCODING, "br")];
    let answer = ask("/assets/index-b2.css", &asked).unwrap();
    assert_eq!(of(&answer, header::CONTENT_ENCODING), "");
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let first = ask("/", &[(header::ACCEPT_ENCODING, "br")]).unwrap();
    let tag = of(&first, header::ETAG).to_owned();
    for given in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let asked = [
            (header::ACCEPT_ENCODING, "br"),
            (header::IF_NONE_MATCH, given.as_str()),
        ];
        let again = ask("/", &asked).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{given}");
        assert_eq!(of(&again, header::ETAG), tag);
    }
    // The same page in another form is another thing.
    let asked = [
        (header::ACCEPT_ENCODING, "gzip"),
        (header::IF_NONE_MATCH, tag.as_str()),
    ];
    assert_eq!(ask("/", &asked).unwrap().status(), StatusCode::OK);
}

#[test]
fn the_page_is_asked_for_each_time_and_lets_nothing_in() {
    for path in ["/", "/index.html", "/jobs", "/jobs/job_01kap3v0"] {
        let page = ask(path, &[(header::ACCEPT, "text/html,*/*;q=0.8")]).unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_eq!(of(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(of(&page, header::CACHE_CONTROL), "no-cache");
        assert_eq!(of(&page, header::CONTENT_SECURITY_POLICY), POLICY);
        assert_eq!(of(&page, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(of(&page, header::REFERRER_POLICY), "same-origin");
    }
    assert!(POLICY.contains("frame-ancestors 'none'") && !POLICY.contains("unsafe"));
}

#[test]
fn an_unknown_asset_is_never_the_page() {
    let asked = [(header::ACCEPT, "text/html")];
    for path in ["/assets/index-a0.js", "/assets/", "/assets/index-a1.js.br"] {
        let answer = ask(path, &asked).unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(of(&answer, header::CACHE_CONTROL), "no-store");
    }
}

#[test]
fn the_api_and_its_programs_are_left_alone() {
    let browser = [(header::ACCEPT, "text/html")];
    for path in ["/v1", "/v1/", "/v1/nothing", "/robots.txt"] {
        assert!(ask(path, &browser).is_none(), "{path}");
    }
    assert!(ask("/jobs", &[(header::ACCEPT, "*/*")]).is_none());
    let post = built().answer(&Method::POST, "/", &HeaderMap::new());
    assert!(post.is_none());
    let icon = ask("/favicon.svg", &[]).unwrap();
    assert_eq!(of(&icon, header::CONTENT_TYPE), "image/svg+xml");
    assert_eq!(of(&icon, header::CACHE_CONTROL), "no-cache");
}

#[tokio::test]
async fn without_a_dashboard_the_page_says_how_to_build_it() {
    let browser = [(header::ACCEPT, "text/html")];
    for path in ["/", "/jobs"] {
        let page = ask_of(&Files::default(), path, &browser).unwrap();
        assert_eq!(of(&page, header::CACHE_CONTROL), "no-store");
        let policy = of(&page, header::CONTENT_SECURITY_POLICY).to_owned();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let body = axum::body::to_bytes(page.into_body(), 100_000)
            .await
            .unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("make dashboard"), "{text}");
    }
    let asset = ask_of(&Files::default(), "/assets/a.js", &browser).unwrap();
    assert_eq!(asset.status(), StatusCode::NOT_FOUND);
}

#[test]
fn a_build_that_is_not_whole_or_not_the_one_seen_is_told() {
    assert_eq!(judge(&Files::default(), ""), Embedded::Nothing);
    let hash = "abc".to_owned();
    assert_eq!(judge(&built(), "abc"), Embedded::Whole { hash, files: 5 });
    let why = |files: &Files, seen: &str| match judge(files, seen) {
        Embedded::Broken(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(&built(), "abd").contains("manifest says \"abc\""));
    assert!(why(&built(), "").contains("make dashboard"));
    let torn = files(&[("index.html", INDEX), ("assets/index-a1.js", "")]);
    assert!(why(&torn, "").contains("names assets/index-b2.css"));
    assert!(why(&files(&[("assets/a.js", "")]), "").contains("no index.html"));
}
