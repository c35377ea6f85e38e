//! The same report as CSV (RFC 4180), every row of it, in bounded memory: told
//! apart by day it is read and sent a day at a time.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use offpeak_store::usage::{self, By, Row};
use time::{Date, Duration};

use super::Ask;
use crate::caller::Caller;
use crate::csv::{KIND, field};
use crate::error::{Broken, Code, Error, Result, fault};

/// How the log says that a stream broke off.
const BROKEN: &str = "the report could not be read to its end";

const HEAD: &str = "day,model,type,user,lane,attempts,unpriced,input_tokens,output_tokens,\
                    cache_write_tokens,cache_read_tokens,web_searches,cost,cost_sync,saved,\
                    saved_batch,saved_cache,saved_reuse\r\n";

/// Rows of one day, or of the whole span if it is not told apart by day, at most.
const MAX_ROWS: usize = 100_000;

/// The report. What is wrong with its first part is a problem; with a later one,
/// the end of the connection.
pub(super) async fn stream(caller: Caller, ask: Ask) -> Result<Response> {
    let (first, next) = part(&caller, &ask, HEAD.to_owned(), ask.to).await?;
    let rest = stream::try_unfold(next, move |at| {
        let (caller, ask) = (caller.clone(), ask.clone());
        async move {
            let Some(day) = at else { return Ok(None) };
            let read = part(&caller, &ask, String::new(), day).await;
            Ok::<_, Broken>(Some(read.map_err(|error| Broken(BROKEN, error))?))
        }
    });
    let all = stream::iter([Ok(first)]).chain(rest);
    let headers = [
        (header::CONTENT_TYPE, KIND),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"usage.csv\"",
        ),
        // The same address is JSON for others.
        (header::VARY, "accept"),
    ];
    Ok((headers, Body::from_stream(all)).into_response())
}

/// The rows of a day, or all of them, and the day that comes next. Its
/// transaction is over before the client reads a byte of it.
async fn part(
    caller: &Caller,
    ask: &Ask,
    mut text: String,
    day: Date,
) -> Result<(Bytes, Option<Date>)> {
    let by_day = ask.by.contains(&By::Day);
    let (from, to) = if by_day {
        (day, day)
    } else {
        (ask.from, ask.to)
    };
    let limit = i64::try_from(MAX_ROWS + 1).unwrap_or(i64::MAX);
    let mut tx = caller.go_on().await?;
    let rows = usage::report(&mut tx, from, to, &ask.by, limit).await?;
    tx.commit().await?;
    if rows.len() > MAX_ROWS {
        let message = format!(
            "tells more than {MAX_ROWS} rows apart: name `day` too, fewer others, or a shorter \
             span of days"
        );
        let detail = format!("by {message}");
        let fault = fault("by", "too_many_rows", message);
        return Err(Error::new(Code::InvalidQuery, detail).with(vec![fault]));
    }
    for row in &rows {
        line(&mut text, row);
    }
    let next = (by_day && day > ask.from).then(|| day - Duration::DAY);
    Ok((text.into(), next))
}

fn line(text: &mut String, row: &Row) {
    let day = row.day.map(|day| day.to_string());
    for name in [
        day.as_deref(),
        row.model.as_deref(),
        row.job_type.as_deref(),
        row.user.as_deref(),
        row.lane.map(offpeak_domain::job::Lane::as_str),
    ] {
        field(text, name.unwrap_or_default());
        text.push(',');
    }
    let bill = &row.bill;
    let _ = write!(
        text,
        "{},{},{},{},{},{},{},{},{},{},{},{},{}\r\n",
        row.attempts,
        row.unpriced,
        row.input_tokens,
        row.output_tokens,
        row.cache_write_tokens,
        row.cache_read_tokens,
        row.web_searches,
        bill.cost,
        bill.sync,
        bill.saved(),
        bill.saved_batch,
        bill.saved_cache,
        bill.saved_reuse,
    );
}

#[cfg(test)]
mod tests {
    use offpeak_domain::job::Lane;
    use offpeak_domain::money::Pico;
    use offpeak_domain::price::Bill;
    use offpeak_store::usage::Row;
    use time::macros::date;

    use super::{HEAD, line};

    #[test]
    fn a_row_is_a_line_with_as_many_fields_as_the_head() {
        let mut text = String::new();
        let row = Row {
            day: Some(date!(2026 - 11 - 27)),
            model: Some("claude-haiku-5-5".to_owned()),
            job_type: None,
            user: Some("Ada, \"the\" first\n".to_owned()),
            lane: Some(Lane::Batch),
            attempts: 3,
            unpriced: 1,
            input_tokens: 10,
            output_tokens: 20,
            cache_write_tokens: 30,
            cache_read_tokens: 40,
            web_searches: 2,
            bill: Bill {
                cost: Pico(62_500),
                sync: Pico(100_000),
                saved_batch: Pico(62_500),
                saved_cache: Pico(-25_000),
                saved_reuse: Pico::ZERO,
            },
        };
        line(&mut text, &row);
        assert_eq!(
            text,
            "2026-11-27,claude-haiku-5-5,,\"Ada, \"\"the\"\" first\n\",batch,3,1,10,20,30,40,2,\
             0.0000000625,0.0000001,0.0000000375,0.0000000625,-0.000000025,0\r\n"
        );
        let commas = |text: &str| text.matches(',').count();
        // One of them is the label's own.
        assert_eq!(commas(&text), commas(HEAD) + 1);
    }
}
