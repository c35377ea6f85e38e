use crate::{Result, Tenants};

impl Tenants {
    /// Days, today included, for which partitions stand without a gap; at most
    /// 31. Zero means that no job can be stored.
    pub async fn partition_days(&self) -> Result<u32> {
        let days = sqlx::query_scalar!(
            r#"SELECT coalesce(min(ahead) FILTER (WHERE NOT present), 31) AS "days!"
                 FROM (SELECT ahead,
                              to_regclass('offpeak.job_' || to_char(
                                  (clock_timestamp() AT TIME ZONE 'UTC')::date + ahead,
                                  'YYYYMMDD')) IS NOT NULL AS present
                         FROM generate_series(0, 30) AS ahead) AS day"#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u32::try_from(days).unwrap_or(0))
    }
}
