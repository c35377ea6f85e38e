use std::collections::BTreeSet;

use offpeak_domain::audit::Action;
use offpeak_domain::origin::Origin;
use offpeak_store::origin;
use offpeak_wire::{FieldError, Origins, Problem};

use crate::body::{Field, Json, parse, reads_as};
use crate::caller::{May, SettingsManage};
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;

/// Bytes of a request, at most.
const MAX_REQUEST: usize = 64 * 1024;

const FIELDS: &[Field] = &[Field {
    name: "origins",
    expected: "an array of strings",
    required: true,
    fits: reads_as::<Vec<String>>,
}];

/// Say from which origins your tickets may be used
///
/// The list replaces the one of before; an empty one lets no page in. An origin is
/// `https://host[:port]`, as the browser sends it in the header `origin`.
#[utoipa::path(
    put, path = "/v1/live/origins", tag = "live", operation_id = "replace_origins",
    request_body = Origins,
    responses(
        (status = 200, description = "The list, sorted", body = Origins),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<SettingsManage>,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<Origins>> {
    query.end()?;
    if body.len() > MAX_REQUEST {
        let detail = format!("a list of origins is at most {MAX_REQUEST} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    let request: Origins = parse(&body, FIELDS).map_err(Error::input)?;
    let origins = read(&request.origins).map_err(Error::input)?;
    let texts: Vec<&str> = origins.iter().map(Origin::as_str).collect();
    let mut tx = caller.begin().await?;
    origin::replace(&mut tx, &texts).await?;
    caller
        .note(&mut tx, Action::OriginsReplace, "", &texts.join(" "))
        .await?;
    tx.commit().await?;
    Ok(axum::Json(Origins {
        origins: texts.into_iter().map(str::to_owned).collect(),
    }))
}

/// The origins, each once.
fn read(given: &[String]) -> std::result::Result<BTreeSet<Origin>, Vec<FieldError>> {
    if given.len() > origin::MAX {
        let message = format!("must be at most {} origins", origin::MAX);
        return Err(vec![fault("/origins", "too_many", message)]);
    }
    let (mut origins, mut faults) = (BTreeSet::new(), Vec::new());
    for (place, text) in given.iter().enumerate() {
        match Origin::parse(text) {
            Ok(origin) => {
                origins.insert(origin);
            }
            Err(why) => faults.push(fault(
                format!("/origins/{place}"),
                "invalid_origin",
                why.to_string(),
            )),
        }
    }
    if faults.is_empty() {
        Ok(origins)
    } else {
        Err(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn every_wrong_origin_is_named() {
        let given = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().copied().map(str::to_owned).collect();
            read(&texts)
        };
        let same = given(&[
            "https://b.example",
            "https://a.example",
            "https://b.example",
        ]);
        assert_eq!(same.unwrap().len(), 2);
        let faults = given(&["https://a.example", "https://*.example", "a.example"]).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(places, ["/origins/1", "/origins/2"]);
        let many = vec!["https://a.example"; 51];
        assert_eq!(given(&many).unwrap_err()[0].code, "too_many");
        assert!(given(&many[1..]).is_ok());
    }
}
