-- find_columns
--
-- Used by _FIND_COLUMNS, find_contacts_table.
--
-- Parameters:
-- \set oid '0'

WITH RECURSIVE layers AS (  -- a column's type, and what each domain is made of, down to one that is not a domain
    SELECT a.attnum, a.attname, a.attnotnull, 0 AS depth, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute a WHERE a.attrelid = :'oid' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT l.attnum, l.attname, l.attnotnull, l.depth + 1, t.typbasetype, t.typtypmod
    FROM layers l JOIN pg_type t ON t.oid = l.type WHERE t.typtype = 'd'
), domains AS (
    SELECT l.attnum, array_agg(format_type(l.type, NULL) ORDER BY l.depth) AS names,
           array_agg(format_type(l.type, NULL) ORDER BY l.depth) FILTER (WHERE t.typnotnull) AS strict
    FROM layers l JOIN pg_type t ON t.oid = l.type WHERE t.typtype = 'd' GROUP BY l.attnum
)
SELECT l.attname AS name, format_type(l.type, l.modifier) AS type, l.attnotnull AS not_null,
       format_type(l.type, NULL) AS type_name, d.names[1] AS domain, coalesce(d.strict, '{}') AS strict_domains,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_enum e WHERE e.enumtypid = l.type) AS labels,
       (SELECT pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = :'oid' AND d.adnum = l.attnum AND a.attgenerated <> '') AS generated
FROM layers l JOIN pg_type t ON t.oid = l.type LEFT JOIN domains d ON d.attnum = l.attnum
WHERE t.typtype <> 'd' ORDER BY l.attnum;
