//! Results as lines of CSV, without Anthropic's messages.

use std::fmt::Write as _;

use offpeak_store::result::Ended;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::csv::field;
use crate::jobs::result::shown;

pub(super) const HEAD: &str = "job,state,label,reason,type,user,metadata,model,standin,text,output,\
                               stop_reason,input_tokens,output_tokens,cache_write_tokens,\
                               cache_read_tokens,cost,cost_sync,created_at,ended_at\r\n";

/// One result. A structured answer stands in `output` alone, as JSON; an amount
/// that is not known is empty.
pub(super) fn line(csv: &mut String, ended: Ended) {
    let (state, created_at) = (ended.outcome.as_str(), ended.job.minted_at());
    let result = shown(ended, false);
    for text in [
        Some(result.job.as_str()),
        Some(state),
        result.label.as_deref(),
        result.reason.as_deref(),
        result.r#type.as_deref(),
        result.user.as_deref(),
        result.metadata.as_deref().map(RawValue::get),
        Some(result.model.as_str()),
        Some(if result.standin { "true" } else { "false" }),
        result.text.as_deref().filter(|_| result.output.is_none()),
        result.output.as_deref().map(RawValue::get),
        result.stop_reason.as_deref(),
    ] {
        field(csv, text.unwrap_or_default());
        csv.push(',');
    }
    let usage = result.usage.unwrap_or_default();
    let _ = write!(
        csv,
        "{},{},{},{},{},{},{},{}\r\n",
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_write_tokens,
        usage.cache_read_tokens,
        result.cost.as_deref().unwrap_or_default(),
        result.cost_sync.as_deref().unwrap_or_default(),
        moment(created_at),
        moment(result.ended_at),
    );
}

/// As in JSON.
fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use offpeak_domain::id::JobId;
    use offpeak_domain::job::Outcome;
    use offpeak_domain::money::Pico;
    use offpeak_store::job::End;
    use offpeak_store::result::Ended;
    use time::macros::datetime;
    use uuid::uuid;

    use super::{HEAD, line};

    /// An answer of that text.
    fn ended(text: &str, structured: bool) -> Ended {
        let content = serde_json::json!([{ "type": "text", "text": text }]);
        let message = serde_json::json!({ "id": "msg_1", "content": content });
        Ended {
            job: JobId::from_uuid(uuid!("019984d2-5180-7000-8000-000000000000")),
            outcome: Outcome::Completed,
            group: None,
            job_type: Some("summarize".to_owned()),
            user: Some("=Ada, \"the\" first".to_owned()),
            metadata: Some(r#"{"n":1}"#.to_owned()),
            model: "claude-haiku-5-5".to_owned(),
            batch: None,
            upstream_batch: None,
            source: None,
            attempt: 1,
            end: End {
                label: None,
                message: None,
                stop_reason: Some("end_turn".to_owned()),
                ended_at: datetime!(2025-09-26 07:00:01.5 UTC),
                input_tokens: 10,
                output_tokens: 20,
                cache_write_tokens: 30,
                cache_read_tokens: 40,
                cost: Pico(62_500),
                cost_sync: Pico(100_000),
                unpriced: false,
            },
            structured,
            line: Some(
                serde_json::json!({ "result": { "message": message } })
                    .to_string()
                    .into_bytes(),
            ),
        }
    }

    fn written(ended: Ended) -> String {
        let mut csv = String::new();
        line(&mut csv, ended);
        csv
    }

    #[test]
    fn a_result_is_a_record_with_as_many_fields_as_the_head() {
        let csv = written(ended("Two\nlines", false));
        assert_eq!(
            csv,
            "JOB,completed,,,summarize,\"'=Ada, \"\"the\"\" first\",\"{\"\"n\"\":1}\",\
             claude-haiku-5-5,false,\"Two\nlines\",,end_turn,10,20,30,40,0.0000000625,0.0000001,\
             2025-09-26T07:00:00Z,2025-09-26T07:00:01.5Z\r\n"
                .replace("JOB", &ended("", false).job.to_string())
        );
        let commas = |text: &str| text.matches(',').count();
        // One of them is the user's own.
        assert_eq!(commas(&csv), commas(HEAD) + 1);
    }

    #[test]
    fn a_structured_answer_is_json_and_stands_there_once() {
        let csv = written(ended(r#"{ "a": [1.0, "b"] }"#, true));
        let cells = r#",false,,"{""a"":[1.0,""b""]}",end_turn,"#;
        assert!(csv.contains(cells), "{csv}");
        // What cannot be read as JSON is text all the same.
        let broken = written(ended("{", true));
        assert!(broken.contains(",false,{,,end_turn,"), "{broken}");
    }

    #[test]
    fn an_amount_that_is_not_known_is_not_zero() {
        let mut unpriced = ended("", false);
        unpriced.end.unpriced = true;
        let csv = written(unpriced);
        assert!(csv.contains(",10,20,30,40,,,2025-"), "{csv}");
    }
}
