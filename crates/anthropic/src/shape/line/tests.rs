use super::*;

const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-5-5","content":[{"type":"thinking","thinking":"no","signature":""},{"type":"text","text":"one "},{"type":"from_the_future","text":7},{"type":"text","text":"two"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":3}}"#;

fn line(result: &str) -> String {
    format!(r#"{{"result":{result},"custom_id":"o1_a_b","new":1}}"#)
}

#[test]
fn a_succeeded_line_gives_its_head_and_text() {
    let line = line(&format!(r#"{{"type":"succeeded","message":{MESSAGE}}}"#));
    let parsed = ResultLine::parse(line.as_bytes()).unwrap();
    assert_eq!(parsed.custom_id, "o1_a_b");
    assert_eq!(parsed.text().as_deref(), Some("one two"));
    let ResultKind::Succeeded(message) = &parsed.result else {
        panic!("{parsed:?}")
    };
    assert_eq!(message.model, "claude-haiku-5-5");
    assert_eq!(message.stop_reason, Some(StopReason::EndTurn));
    assert_eq!(
        (message.usage.input_tokens, message.usage.output_tokens),
        (10, 3)
    );
    assert!(!message.content_empty);
    assert!(
        !format!("{parsed:?}").contains("two"),
        "Debug shows no text"
    );
}

#[test]
fn a_refusal_with_empty_content_is_told() {
    let message = MESSAGE.replace("end_turn", "refusal");
    let start = message.find('[').unwrap();
    let end = message.rfind(']').unwrap();
    let line = line(&format!(
        r#"{{"type":"succeeded","message":{}[ ]{}}}"#,
        &message[..start],
        &message[end + 1..]
    ));
    let parsed = ResultLine::parse(line.as_bytes()).unwrap();
    assert_eq!(parsed.text(), None);
    let ResultKind::Succeeded(message) = parsed.result else {
        panic!()
    };
    assert!(message.content_empty);
    assert_eq!(message.stop_reason, Some(StopReason::Refusal));
}

#[test]
fn an_errored_line_reads_the_inner_error() {
    let line = line(
        r#"{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: PROMPT","details":{"error_code":"x"}},"request_id":"req_1"}}"#,
    );
    let parsed = ResultLine::parse(line.as_bytes()).unwrap();
    assert!(!format!("{parsed:?}").contains("PROMPT"));
    let ResultKind::Errored(error) = parsed.result else {
        panic!()
    };
    assert_eq!(error.error_type, ErrorKind::InvalidRequest);
    assert_eq!(error.error_code.as_deref(), Some("x"));
    assert_eq!(error.message, "max_tokens: PROMPT");
}

#[test]
fn the_rest_is_told_apart() {
    let kind = |result: &str| {
        let line = line(result);
        match ResultLine::parse(line.as_bytes()).map(|line| format!("{:?}", line.result)) {
            Ok(kind) => kind,
            Err(_) => "unreadable".to_owned(),
        }
    };
    assert_eq!(kind(r#"{"type":"canceled"}"#), "Canceled");
    assert_eq!(kind(r#"{"type":"expired"}"#), "Expired");
    assert_eq!(kind(r#"{"type":"paused","why":1}"#), r#"Other("paused")"#);
    for broken in [
        r#"{"type":"succeeded"}"#,
        r#"{"type":"succeeded","message":{"model":"m","content":[],"stop_reason":null}}"#,
        r#"{"type":"errored"}"#,
        "{}",
        "null",
        r#"{"type":"canceled""#,
    ] {
        assert_eq!(kind(broken), "unreadable", "{broken}");
    }
}

#[test]
fn poison_is_read_not_choked_on() {
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let message = MESSAGE
        .replace("one ", r"a\u0000b\ud800c")
        .replace(r#""text":7"#, &format!(r#""input":{deep}"#));
    let line = line(&format!(r#"{{"type":"succeeded","message":{message}}}"#));
    let parsed = ResultLine::parse(line.as_bytes()).unwrap();
    let text = parsed.text().unwrap();
    assert!(text.starts_with("a\0b\u{fffd}"), "{text:?}");
    assert!(text.ends_with("ctwo"), "{text:?}");
}

#[test]
fn an_unreadable_line_does_not_quote_itself() {
    let error = ResultLine::parse(br#"{"custom_id":"a","result":"SECRET"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SECRET"));
    assert!(ResultLine::parse(b"\xff\xfe").is_err());
}
