//! The answer to a direct call in the form of a line of a batch's results, so that
//! both are kept and read alike.

use serde_json::json;

/// A message, byte for byte but for line breaks, which no string of JSON holds.
pub fn succeeded_line(custom_id: &str, message: &[u8]) -> Vec<u8> {
    let mut line = br#"{"custom_id":""#.to_vec();
    line.extend_from_slice(custom_id.as_bytes());
    line.extend_from_slice(br#"","result":{"type":"succeeded","message":"#);
    line.extend(message.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
    line.extend_from_slice(b"}}");
    line
}

/// An error, in the words of the API.
pub fn errored_line(
    custom_id: &str,
    kind: &str,
    message: &str,
    request_id: Option<&str>,
) -> Vec<u8> {
    json!({
        "custom_id": custom_id,
        "result": { "type": "errored", "error": {
            "type": "error",
            "error": { "type": kind, "message": message },
            "request_id": request_id,
        } },
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{errored_line, succeeded_line};
    use crate::shape::{ResultKind, ResultLine};

    #[test]
    fn they_read_as_result_lines() {
        let message = b"{\"model\":\"m\",\n\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"}],\
                        \"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}";
        let line = succeeded_line("o1_x", message);
        assert!(!line.contains(&b'\n'));
        let read = ResultLine::parse(&line).unwrap();
        assert_eq!(
            (&*read.custom_id, read.text().unwrap()),
            ("o1_x", "a\nb".to_owned())
        );

        let line = errored_line("o1_x", "api_error", "it \"broke\"", Some("req_1"));
        let ResultKind::Errored(error) = ResultLine::parse(&line).unwrap().result else {
            panic!("it is an error");
        };
        assert_eq!(error.message, "it \"broke\"");
    }
}
