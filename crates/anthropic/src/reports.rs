//! The organization's usage and cost reports. They need a client whose key is an
//! Admin key; no other call takes that one.

use reqwest::Method;
use time::format_description::well_known::Rfc3339;
use time::{Date, Time};

use crate::answer::Answered;
use crate::client::Client;
use crate::error::Error;
use crate::shape::{CostReportRow, ReportPage, UsageReportRow};

/// Days in one page, at most; the API allows no more.
const DAYS: &str = "31";

impl Client {
    /// A page of tokens by day, model, tier and workspace, from `from` to `to`,
    /// both included. `page` is the last page's `next_page`.
    pub async fn usage_report(
        &self,
        from: Date,
        to: Date,
        page: Option<&str>,
    ) -> Result<Answered<ReportPage<UsageReportRow>>, Error> {
        let path = ["v1", "organizations", "usage_report", "messages"];
        let groups = ["model", "service_tier", "workspace_id"];
        self.report(&path, &groups, from, to, page).await
    }

    /// A page of costs by day, description and workspace, in the same way.
    pub async fn cost_report(
        &self,
        from: Date,
        to: Date,
        page: Option<&str>,
    ) -> Result<Answered<ReportPage<CostReportRow>>, Error> {
        let path = ["v1", "organizations", "cost_report"];
        let groups = ["description", "workspace_id"];
        self.report(&path, &groups, from, to, page).await
    }

    async fn report<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        groups: &[&str],
        from: Date,
        to: Date,
        page: Option<&str>,
    ) -> Result<Answered<ReportPage<T>>, Error> {
        let midnight = |day: Date| {
            day.with_time(Time::MIDNIGHT)
                .assume_utc()
                .format(&Rfc3339)
                .map_err(|_| Error::Config {
                    what: "day of a report",
                })
        };
        // The end is not included there.
        let end = to.next_day().ok_or(Error::Config {
            what: "day of a report",
        })?;
        let mut url = self.url(path);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("starting_at", &midnight(from)?);
            query.append_pair("ending_at", &midnight(end)?);
            query.append_pair("bucket_width", "1d");
            query.append_pair("limit", DAYS);
            for group in groups {
                query.append_pair("group_by[]", group);
            }
            if let Some(page) = page {
                query.append_pair("page", page);
            }
        }
        self.call(Method::GET, url).await
    }
}
