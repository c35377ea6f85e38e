//! The walls between tenants, and the room for what comes.

use sqlx::PgConnection;

use super::{Checked, invariant};
use crate::Result;

pub(super) async fn check(conn: &mut PgConnection) -> Result<Vec<Checked>> {
    Ok(vec![
        invariant!(
            conn,
            "I23",
            "walled",
            "row-level security is forced on every table that has a tenant",
            "SELECT 'table ' || c.relname
               FROM pg_class c
              WHERE c.relnamespace = 'offpeak'::regnamespace
                AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND (c.relname = 'tenant'
                     OR EXISTS (SELECT FROM pg_attribute a
                                 WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                                   AND NOT a.attisdropped))
                AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
              UNION ALL
             -- Reached by its own name it would be a door beside the wall.
             SELECT 'partition ' || c.relname
               FROM pg_class c
              WHERE c.relnamespace = 'offpeak'::regnamespace
                AND c.relkind = 'r' AND c.relispartition
                AND (has_table_privilege('offpeak_api', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
                     OR has_table_privilege('offpeak_worker', c.oid,
                                            'SELECT, INSERT, UPDATE, DELETE'))"
        ),
        invariant!(
            conn,
            "I23",
            "weak_roles",
            "no role at run time passes the walls or owns a table",
            "SELECT 'role ' || rolname
               FROM pg_roles
              WHERE rolname IN ('offpeak_owner', 'offpeak_api', 'offpeak_worker')
                AND (rolsuper OR rolbypassrls OR rolcreaterole)
              UNION ALL
             SELECT 'role ' || rolname
               FROM pg_roles r
              WHERE rolname IN ('offpeak_api', 'offpeak_worker')
                AND (pg_has_role(r.oid, 'offpeak_owner', 'MEMBER')
                     OR EXISTS (SELECT FROM pg_class c
                                 WHERE c.relnamespace = 'offpeak'::regnamespace
                                   AND c.relowner = r.oid))"
        ),
        invariant!(
            conn,
            "I24",
            "no_crossing",
            "no foreign key leads from one tenant's rows to another's",
            "SELECT 'constraint ' || k.conname
               FROM pg_constraint k
              WHERE k.contype = 'f' AND k.connamespace = 'offpeak'::regnamespace
                AND EXISTS (SELECT FROM pg_attribute a
                             WHERE a.attrelid = k.confrelid AND a.attname = 'tenant_id'
                               AND NOT a.attisdropped)"
        ),
        invariant!(
            conn,
            "room",
            "partitions",
            "there are partitions for today and the three days to come",
            "SELECT 'partition ' || child
               FROM unnest(ARRAY['job', 'payload', 'result', 'output', 'attempt', 'event'])
                    AS parent
              CROSS JOIN generate_series(0, 3) AS ahead
              CROSS JOIN LATERAL (
                    SELECT parent || '_' || to_char(
                               (clock_timestamp() AT TIME ZONE 'UTC')::date + ahead, 'YYYYMMDD')
                               AS child) AS named
              WHERE NOT EXISTS (
                    SELECT FROM pg_inherits h
                     WHERE h.inhparent = to_regclass('offpeak.' || parent)
                       AND h.inhrelid = to_regclass('offpeak.' || child))"
        ),
    ])
}
