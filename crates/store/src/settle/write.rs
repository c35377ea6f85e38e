//! The sets that one chunk writes, one statement each.

use std::borrow::Cow;
use std::time::Duration;

use offpeak_domain::id::GroupId;
use offpeak_domain::job::{Failure, Lane, Outcome};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Effect, Measured, Next, Released};
use crate::batch::Key;
use crate::bounded::Connection;
use crate::sealed::Piece;
use crate::{Result, SystemTx};

pub(super) async fn results(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
    effects: &[Effect],
) -> Result<()> {
    let ends: Vec<(&Effect, Outcome, Option<Failure>, Option<&String>)> = effects
        .iter()
        .filter_map(|effect| match &effect.next {
            Next::End {
                outcome,
                failure,
                stop_reason,
            } => Some((effect, *outcome, *failure, stop_reason.as_ref())),
            Next::Again { .. } | Next::SetAside { .. } | Next::Leave { .. } => None,
        })
        .collect();
    if ends.is_empty() {
        return Ok(());
    }
    let tokens = |f: fn(&Measured) -> i64| -> Vec<i64> {
        ends.iter().map(|end| f(&end.0.measured)).collect()
    };
    sqlx::query!(
        "INSERT INTO result (tenant_id, batch_id, ended_at,
                             id, outcome, label, message, group_id, type, user_label, model,
                             attempt, stop_reason, input_tokens, output_tokens,
                             cache_write_tokens, cache_read_tokens, cost_pico, sync_pico, line_hash)
         SELECT $1, $2, $3, *
           FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[],
                       $10::text[], $11::text[], $12::integer[], $13::text[], $14::bigint[],
                       $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],
                       $20::bytea[])",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
        &ends
            .iter()
            .map(|end| end.0.released.job.as_uuid())
            .collect::<Vec<_>>(),
        &ends
            .iter()
            .map(|end| end.1.as_str().to_owned())
            .collect::<Vec<_>>(),
        &ends
            .iter()
            .map(|end| end.2.map(|f| f.label().to_owned()))
            .collect::<Vec<_>>() as _,
        &ends
            .iter()
            .map(|end| end.2.map(|f| f.message().to_owned()))
            .collect::<Vec<_>>() as _,
        &ends
            .iter()
            .map(|end| end.0.released.group.map(GroupId::as_uuid))
            .collect::<Vec<_>>() as _,
        &ends
            .iter()
            .map(|end| end.0.released.job_type.clone())
            .collect::<Vec<_>>() as _,
        &ends
            .iter()
            .map(|end| end.0.released.user_label.clone())
            .collect::<Vec<_>>() as _,
        &ends
            .iter()
            .map(|end| end
                .0
                .model
                .clone()
                .unwrap_or_else(|| end.0.released.model.clone()))
            .collect::<Vec<_>>(),
        &ends
            .iter()
            .map(|end| end.0.released.attempt)
            .collect::<Vec<_>>(),
        &ends.iter().map(|end| end.3.cloned()).collect::<Vec<_>>() as _,
        &tokens(|m| m.input_tokens),
        &tokens(|m| m.output_tokens),
        &tokens(|m| m.cache_write_5m + m.cache_write_1h),
        &tokens(|m| m.cache_read),
        &tokens(|m| m.cost_pico),
        &tokens(|m| m.sync_pico),
        &ends
            .iter()
            .map(|end| end.0.line_hash.clone())
            .collect::<Vec<_>>() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The line of an effect as it is to be stored, and its `key_id`.
pub(super) type Line<'a> = Option<(Cow<'a, [u8]>, i32)>;

/// Those of all effects, in their order.
pub(super) async fn lines<'a>(
    tx: &mut SystemTx,
    key: Key,
    effects: &'a [Effect],
) -> Result<Vec<Line<'a>>> {
    if effects.iter().all(|effect| effect.line.is_none()) {
        return Ok(vec![None; effects.len()]);
    }
    let seal = tx.seal(key.tenant).await?;
    let pieces = effects.iter().filter_map(|effect| {
        let piece = Piece::Line(effect.released.job.as_uuid());
        Some((piece, effect.line.as_deref()?))
    });
    let (bytes, key_ids) = seal.columns(pieces)?;
    let mut stored = bytes.into_iter().zip(key_ids);
    Ok(effects
        .iter()
        .map(|effect| effect.line.is_some().then(|| stored.next()).flatten())
        .collect())
}

/// The lines of those that end.
pub(super) async fn outputs(
    conn: &mut Connection,
    key: Key,
    effects: &[Effect],
    lines: &[Line<'_>],
) -> Result<()> {
    let (mut ids, mut bytes, mut key_ids) = (Vec::<Uuid>::new(), Vec::new(), Vec::new());
    for (effect, line) in effects.iter().zip(lines) {
        if let (Next::End { .. }, Some((line, key_id))) = (&effect.next, line) {
            ids.push(effect.released.job.as_uuid());
            bytes.push(&line[..]);
            key_ids.push(*key_id);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        // As a list of what is selected the rows stream; as a table they would
        // be put down once more before they are inserted.
        "INSERT INTO output (tenant_id, id, line, key_id)
         SELECT $1, unnest($2::uuid[]), unnest($3::bytea[]), unnest($4::int[])",
        key.tenant.as_uuid(),
        &ids,
        &bytes as &[&[u8]],
        &key_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn attempts(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
    effects: &[Effect],
    lines: &[Line<'_>],
) -> Result<()> {
    let rows: Vec<(&Effect, &'static str, Option<&String>, &Line<'_>)> = effects
        .iter()
        .zip(lines)
        .filter_map(|(effect, line)| match &effect.next {
            Next::Again {
                as_outcome, label, ..
            }
            | Next::Leave {
                as_outcome, label, ..
            } => Some((effect, *as_outcome, label.as_ref(), line)),
            Next::SetAside { as_outcome } => Some((effect, *as_outcome, None, line)),
            Next::End { .. } => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO attempt (tenant_id, batch_id, ended_at,
                              id, attempt, outcome, label, cost_pico, line, key_id, line_hash)
         SELECT $1, $2, $3, *
           FROM unnest($4::uuid[], $5::integer[], $6::text[], $7::text[], $8::bigint[],
                       $9::bytea[], $10::integer[], $11::bytea[])
             ON CONFLICT DO NOTHING",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
        &rows
            .iter()
            .map(|row| row.0.released.job.as_uuid())
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.0.released.attempt)
            .collect::<Vec<_>>(),
        &rows.iter().map(|row| row.1.to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.2.cloned()).collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| row.0.measured.cost_pico)
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.3.as_ref().map(|(line, _)| &line[..]))
            .collect::<Vec<_>>() as &[Option<&[u8]>],
        &rows
            .iter()
            .map(|row| row.3.as_ref().map_or(0, |(_, key_id)| *key_id))
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.0.line_hash.as_deref())
            .collect::<Vec<_>>() as &[Option<&[u8]>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn ready(
    conn: &mut Connection,
    key: Key,
    now: OffsetDateTime,
    lane: Lane,
    effects: &[Effect],
) -> Result<()> {
    let rows: Vec<(&Released, bool, Duration, Option<i32>)> = effects
        .iter()
        .filter_map(|effect| match &effect.next {
            Next::Again {
                counts,
                after,
                max_items,
                ..
            } => Some((&effect.released, *counts, *after, *max_items)),
            Next::End { .. } | Next::SetAside { .. } | Next::Leave { .. } => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    // What was called for directly, or was to be, is called for again.
    let direct = |released: &Released| [lane, released.lane].contains(&Lane::Direct);
    sqlx::query!(
        "INSERT INTO ready (tenant_id, id, bucket_id, group_id, priority, not_before, bytes,
                            attempt, tries, max_items, lane, deadline, on_late)
         SELECT $1, *
           FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::timestamptz[],
                       $7::integer[], $8::integer[], $9::integer[], $10::integer[], $11::text[],
                       $12::timestamptz[], $13::text[])",
        key.tenant.as_uuid(),
        &rows
            .iter()
            .map(|row| row.0.job.as_uuid())
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.0.bucket.as_uuid())
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.0.group.map(GroupId::as_uuid))
            .collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.0.priority).collect::<Vec<_>>(),
        &rows.iter().map(|row| now + row.2).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.0.bytes).collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.0.next_attempt)
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| i32::try_from(row.0.tries + u32::from(row.1)).unwrap_or(i32::MAX))
            .collect::<Vec<_>>(),
        &rows.iter().map(|row| row.3).collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| if direct(row.0) {
                Lane::Direct
            } else {
                Lane::Batch
            })
            .map(Lane::as_str)
            .collect::<Vec<_>>() as &[&str],
        &rows.iter().map(|row| row.0.deadline).collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| row.0.on_late.as_deref())
            .collect::<Vec<_>>() as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn ledger(
    conn: &mut Connection,
    key: Key,
    (now, day): (OffsetDateTime, Date),
    effects: &[Effect],
) -> Result<()> {
    let rows: Vec<&Effect> = effects.iter().filter(|effect| effect.billed).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let tokens =
        |f: fn(&Measured) -> i64| -> Vec<i64> { rows.iter().map(|row| f(&row.measured)).collect() };
    sqlx::query!(
        "INSERT INTO ledger (tenant_id, batch_id, at, day,
                             id, attempt, group_id, type, user_label, model, input_tokens,
                             output_tokens, cache_write_5m, cache_write_1h, cache_read_tokens,
                             web_searches, cost_pico, sync_pico, saved_batch_pico,
                             saved_cache_pico, saved_reuse_pico, unpriced, lane)
         SELECT $1, $2, $3, $18, *
           FROM unnest($4::uuid[], $5::integer[], $6::uuid[], $7::text[], $8::text[], $9::text[],
                       $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
                       $15::bigint[], $16::bigint[], $17::bigint[], $19::bigint[], $20::bigint[],
                       $21::bigint[], $22::boolean[], $23::text[])",
        key.tenant.as_uuid(),
        key.batch.as_uuid(),
        now,
        &rows
            .iter()
            .map(|row| row.released.job.as_uuid())
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.released.attempt)
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.released.group.map(GroupId::as_uuid))
            .collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| row.released.job_type.clone())
            .collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| row.released.user_label.clone())
            .collect::<Vec<_>>() as _,
        &rows
            .iter()
            .map(|row| row
                .model
                .clone()
                .unwrap_or_else(|| row.released.model.clone()))
            .collect::<Vec<_>>(),
        &tokens(|m| m.input_tokens),
        &tokens(|m| m.output_tokens),
        &tokens(|m| m.cache_write_5m),
        &tokens(|m| m.cache_write_1h),
        &tokens(|m| m.cache_read),
        &tokens(|m| m.web_searches),
        &tokens(|m| m.cost_pico),
        &tokens(|m| m.sync_pico),
        day,
        &tokens(|m| m.saved_batch_pico),
        &tokens(|m| m.saved_cache_pico),
        &tokens(|m| m.saved_reuse_pico),
        &rows
            .iter()
            .map(|row| row.measured.unpriced)
            .collect::<Vec<_>>(),
        &rows
            .iter()
            .map(|row| row.lane.as_str().to_owned())
            .collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}
