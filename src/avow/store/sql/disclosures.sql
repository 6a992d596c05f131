-- How private values and the keys of persons are read.

-- name: keep_key
-- The key of a person, made if there is none.
SELECT key, wrapped, kek FROM avow.keep_subject_key($1, $2, $3, $4, $5)

-- name: key_of
-- The key that a person has.
SELECT k.key, k.wrapped, k.kek
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.subject_key t WHERE t.tenant = s.tenant AND t.subject = $2 OFFSET 0) AS k

-- name: key
-- A key that is there still.
SELECT k.key, k.wrapped, k.kek
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (SELECT * FROM avow.subject_key t WHERE t.tenant = s.tenant AND t.key = $2 OFFSET 0) AS k

-- name: disclosures
-- What stands behind these digests of one record, with the key that it is encrypted with; or by which entry it was erased.
SELECT d.field, d.digest, d.nonce, d.ciphertext, k.key, k.subject, k.wrapped, k.kek, a.entry AS erased_at
FROM (SELECT set_config('avow.tenant', $1::text, true) AS tenant OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT * FROM avow.disclosure t WHERE t.tenant = s.tenant AND t.kind = $2 AND t.id = $3 AND t.digest = ANY ($4) OFFSET 0
) AS d
LEFT JOIN avow.subject_key k ON k.tenant = d.tenant AND k.key = d.key
LEFT JOIN avow.audit a ON a.tenant = d.tenant AND a.kind = d.erased_kind AND a.id = d.erased_id AND a.version = d.erased_version

-- name: see_tenant
-- Let the owner see one tenant, on this connection.
SELECT set_config('avow.tenant', $1, false)

-- name: see_all_keys
-- Let the owner see the keys of all tenants, on this connection.
SELECT set_config('avow.scope', 'all', false)

-- name: held_of
-- How many private values there are about a person, by kind and field, and whether somebody holds them.
SELECT d.kind, d.field, count(*) AS number, count(DISTINCT d.id) AS records, max(d.keep_until) AS keep_until
FROM avow.subject_key k JOIN avow.disclosure d ON d.tenant = k.tenant AND d.key = k.key
WHERE k.tenant = $1 AND k.subject = $2 GROUP BY d.kind, d.field ORDER BY d.kind, d.field

-- name: holds_of
-- Who holds what is private about a person, and why.
SELECT placed_by, reason, since FROM avow.legal_hold WHERE tenant = $1 AND subject = $2

-- name: private_of
-- Every private value about a person, oldest first, with the entry that brought it.
SELECT d.kind, d.id, d.version, d.field, d.digest, d.nonce, d.ciphertext, k.key, k.subject, k.wrapped, k.kek,
       NULL::bigint AS erased_at, a.entry, a.header
FROM avow.subject_key k JOIN avow.disclosure d ON d.tenant = k.tenant AND d.key = k.key
JOIN avow.audit a ON a.tenant = d.tenant AND a.kind = d.kind AND a.id = d.id AND a.version = d.version
WHERE k.tenant = $1 AND k.subject = $2 ORDER BY a.entry, d.field

-- name: records_of
-- The records of one entity that name a person in one of these columns.
SELECT id FROM @{table} WHERE tenant = $1 AND ($2 = ANY (ARRAY[@{columns}])) ORDER BY id

-- name: erasures_open
-- The erasures of a person that wait for somebody, in one of these states.
SELECT id FROM @{table} WHERE tenant = $1 AND @{person} = $2 AND state = ANY ($3) ORDER BY id LIMIT 1

-- name: acts_of
-- What a person did: the entries whose command they gave.
SELECT a.entry, a.kind, a.id, a.version, a.at, convert_from(a.header, 'UTF8')::jsonb ->> 'transition' AS transition
FROM avow.audit a
WHERE a.tenant = $1 AND convert_from(a.header, 'UTF8')::jsonb #>> '{actor,subject}' = $2 ORDER BY a.entry

-- name: refusals_of
-- What a person was refused.
SELECT at, kind, record, command, code FROM avow.refusal WHERE tenant = $1 AND subject = $2 ORDER BY refusal

-- name: tasks_of
-- What a person did with tasks, other than doing them.
SELECT at, kind, id, step, word, reason FROM avow.task_act WHERE tenant = $1 AND subject = $2 ORDER BY act

-- name: api_keys_of
-- The API keys of a person, without their secrets.
SELECT id, roles, created_at, expires_at, revoked_at FROM avow.api_key WHERE tenant = $1 AND subject = $2 ORDER BY created_at

-- name: subscriptions_of
-- What a person is told of.
SELECT id, url, types, state, created_at FROM avow.subscription WHERE tenant = $1 AND subject = $2 ORDER BY created_at

-- name: note_export
-- Keep that a person's data was given out.
SELECT avow.note_export($1, $2, $3)

-- name: hold
-- Hold a person's data, or let go of it.
SELECT avow.hold_subject($1, $2, $3, $4, $5)

-- name: keys_under
-- Keys that are wrapped in another way than with this key of keys, after one of them.
SELECT tenant, key, subject, wrapped, kek FROM avow.subject_key
WHERE kek <> $1 AND key > $2 ORDER BY key LIMIT $3

-- name: keks
-- How many keys each key of keys wraps.
SELECT kek, count(*) AS number FROM avow.subject_key GROUP BY kek ORDER BY kek

-- name: name_kek
-- Say which key of keys the next statement is about, which takes no arguments; it mustn't hold others up for long.
SELECT set_config('avow.kek', $1, false), set_config('lock_timeout', '5s', false)

-- name: forbid_kek
-- Let no key be put under a key of keys any more, by whatever process; once for each.
DO $$
DECLARE
    retired text := current_setting('avow.kek');
    named text := 'retired_' || left(encode(sha256(convert_to(retired, 'UTF8')), 'hex'), 16);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'avow.subject_key'::regclass AND conname = named) THEN
        EXECUTE format('ALTER TABLE avow.subject_key ADD CONSTRAINT %I CHECK (kek <> %L) NOT VALID', named, retired);
    END IF;
END $$

-- name: allow_kek
-- Take that back.
DO $$
BEGIN
    EXECUTE format('ALTER TABLE avow.subject_key DROP CONSTRAINT %I',
        'retired_' || left(encode(sha256(convert_to(current_setting('avow.kek'), 'UTF8')), 'hex'), 16));
END $$

-- name: rewrap
-- Put a key under another key of keys.
SELECT avow.rewrap_key($1, $2, $3, $4, $5)
