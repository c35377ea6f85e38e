use std::str;

use axum::extract::State as Extract;
use offpeak_domain::estimate::{Basis, Calibration, Prompt};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_store::budget;
use offpeak_store::estimates::Corrections;
use offpeak_wire::{
    AnswerBasis, Estimate, EstimateRequest, EstimateSum, FieldError, JobEstimate, JobRequest,
    Problem,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::Date;

use super::draft::{Draft, Drafting};
use super::{FIELDS, view};
use crate::State;
use crate::body::{Field, Json, parse, reads_as};
use crate::caller::{JobsRead, May};
use crate::error::{Error, Result, fault};
use crate::query::Query;

/// Jobs that one call asks for, at most.
const MOST: usize = 100;

const BODY: &[Field] = &[Field {
    name: "jobs",
    expected: "an array of jobs",
    required: true,
    fits: reads_as::<Vec<Box<RawValue>>>,
}];

/// The body, with jobs that are read one by one, so that a fault says in which it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    jobs: Vec<Box<RawValue>>,
}

/// What jobs would cost
///
/// Checked and rendered as at submit, and not stored. Tokens are estimated here;
/// where the tenant has budgets, the price is corrected by what jobs of the same type
/// and model have really cost.
#[utoipa::path(
    post, path = "/v1/estimate", tag = "jobs", operation_id = "estimate_jobs",
    request_body = EstimateRequest,
    responses(
        (status = 200, description = "What they are expected to cost in each lane", body = Estimate),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<JobsRead>,
    query: Query,
    Json(body): Json,
) -> Result<axum::Json<Estimate>> {
    query.end()?;
    let Body { jobs } = parse(&body, BODY).map_err(Error::input)?;
    if jobs.is_empty() || jobs.len() > MOST {
        let message = format!("must hold from 1 to {MOST} jobs");
        return Err(Error::input(vec![fault("/jobs", "invalid_value", message)]));
    }
    let mut drafting = Drafting::new(&state, &caller);
    let (mut drafts, mut faults) = (Vec::with_capacity(jobs.len()), Vec::new());
    for (place, job) in jobs.iter().enumerate() {
        let read = parse::<JobRequest>(job.get().as_bytes(), FIELDS);
        let drafted = match read {
            Ok(request) => drafting.draft(&request).await?,
            Err(faults) => Err(faults),
        };
        match drafted {
            Ok(draft) => drafts.push(draft),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| FieldError {
                field: format!("/jobs/{place}{}", fault.field),
                ..fault
            })),
        }
    }
    if !faults.is_empty() {
        return Err(Error::input(faults));
    }
    let mut tx = caller.begin().await?;
    let measured = budget::measured(&mut tx).await?;
    let today = tx.now().date();
    tx.commit().await?;
    let corrections = Corrections::of(measured.as_deref().unwrap_or_default());
    let (mut sum, mut jobs) = (Sum::default(), Vec::with_capacity(drafts.len()));
    for draft in drafts {
        jobs.push(sum.add(draft, &corrections, today, &state)?);
    }
    Ok(axum::Json(Estimate {
        jobs,
        total: sum.shown(),
    }))
}

#[derive(Default)]
struct Sum {
    input: u64,
    output: u64,
    batch: Pico,
    direct: Pico,
    chosen: Pico,
    unpriced: u64,
}

impl Sum {
    /// One more job, and what is said of it.
    fn add(
        &mut self,
        draft: Draft,
        corrections: &Corrections,
        today: Date,
        state: &State,
    ) -> Result<JobEstimate> {
        let text = str::from_utf8(&draft.params).unwrap_or_default();
        let prompt = Prompt::read(text, None, &Calibration::SHIPPED).map_err(|broken| {
            Error::input(vec![fault(
                broken.pointer,
                "invalid_params",
                broken.message,
            )])
        })?;
        let (input, output) = (prompt.tokens, prompt.answer);
        let answer_basis = match prompt.basis {
            Basis::Schema => AnswerBasis::Schema,
            Basis::Words => AnswerBasis::Words,
            Basis::Logged | Basis::Measured | Basis::Said | Basis::Nothing => AnswerBasis::Nothing,
        };
        let (name, version) = draft.job_type.unzip();
        let kind = (name, draft.model);
        let cost = |lane| {
            let cost = corrections.cost(&draft.params, &kind, lane, today, &state.prices);
            state.prices.model(&kind.1).is_ok().then_some(cost.cost)
        };
        let (batch, direct) = (cost(Lane::Batch), cost(Lane::Direct));
        self.input += input;
        self.output += output;
        self.unpriced += u64::from(batch.is_none());
        self.batch += batch.unwrap_or_default();
        self.direct += direct.unwrap_or_default();
        self.chosen += match draft.lane {
            Lane::Batch => batch,
            Lane::Direct => direct,
        }
        .unwrap_or_default();
        let correction = corrections.permille(&kind);
        let (name, model) = kind;
        Ok(JobEstimate {
            r#type: name,
            type_version: version,
            model,
            lane: view::lane(draft.lane),
            input_tokens: input,
            output_tokens: output,
            answer_basis,
            cost_batch: batch.map(Pico::to_usd_string),
            cost_direct: direct.map(Pico::to_usd_string),
            correction: format!("{}.{:03}", correction / 1_000, correction % 1_000),
        })
    }

    fn shown(self) -> EstimateSum {
        EstimateSum {
            input_tokens: self.input,
            output_tokens: self.output,
            cost_batch: self.batch.to_usd_string(),
            cost_direct: self.direct.to_usd_string(),
            cost: self.chosen.to_usd_string(),
            unpriced: self.unpriced,
        }
    }
}
