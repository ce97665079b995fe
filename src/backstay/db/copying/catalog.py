"""What a copy asks PostgreSQL about its sessions, tables, sequences, constraints and triggers."""

from sqlalchemy.ext.asyncio import AsyncConnection

OTHERS = """
    SELECT DISTINCT coalesce(nullif(application_name, ''), 'without a name')
        || coalesce(' at ' || host(client_addr), '')
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
        AND (application_name LIKE 'backstay%' OR application_name = $1)
    ORDER BY 1"""
TABLES = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace
        AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> ALL ($1)
    ORDER BY 1"""
COLUMNS = """
    SELECT c.relname AS table, a.attname AS name, b.typname AS type, b.typtype = 'e' AS is_enum,
        CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier,
        coalesce(a.attnum = ANY (i.indkey), false) AS is_key
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relnamespace = current_schema()::regnamespace AND a.attgenerated = ''
        AND c.relname = ANY ($1)
    ORDER BY c.relname, a.attnum"""
COUNTERS = """
    SELECT s.relname AS name, coalesce(c.relname, '') AS table, coalesce(a.attname, '') AS column,
        q.last_value AS last
    FROM pg_class s
    JOIN pg_sequences q ON q.schemaname = current_schema() AND q.sequencename = s.relname
    LEFT JOIN LATERAL (
        SELECT d.refobjid, d.refobjsubid FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
            AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
        UNION ALL
        SELECT f.adrelid, f.adnum FROM pg_depend d
        JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
        LIMIT 1
    ) o ON true
    LEFT JOIN pg_class c ON c.oid = o.refobjid
    LEFT JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
    WHERE s.relkind = 'S' AND s.relnamespace = current_schema()::regnamespace"""
_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text AS "table", quote_ident(conname) AS name,
        pg_get_constraintdef(oid) AS definition
    FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace"""
_TRIGGERS = """
    SELECT tgrelid::regclass::text AS "table", quote_ident(tgname) AS name,
        tgenabled::text AS mode
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT tgisinternal AND tgenabled <> 'D'
        AND c.relnamespace = current_schema()::regnamespace"""
_ENABLE = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


async def constraints(connection: AsyncConnection) -> tuple[list[str], list[str]]:
    """The statements that take foreign keys and triggers away, and those that bring them back.

    Rows come in no order that foreign keys could follow, and a trigger would write more than the
    source has. Adding a foreign key again checks all rows at once.
    """
    gone: list[str] = []
    back: list[str] = []
    for key in await connection.exec_driver_sql(_FOREIGN_KEYS):
        gone.append(f"ALTER TABLE {key.table} DROP CONSTRAINT {key.name}")
        back.append(f"ALTER TABLE {key.table} ADD CONSTRAINT {key.name} {key.definition}")
    for trigger in await connection.exec_driver_sql(_TRIGGERS):
        gone.append(f"ALTER TABLE {trigger.table} DISABLE TRIGGER {trigger.name}")
        back.append(f"ALTER TABLE {trigger.table} {_ENABLE[trigger.mode]} TRIGGER {trigger.name}")
    return gone, back
