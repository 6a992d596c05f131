-- The tables of a hand-written service.
CREATE TABLE payment (
    id       uuid PRIMARY KEY,
    state    text NOT NULL,
    version  bigint NOT NULL,
    head     bytea NOT NULL,
    amount   bigint NOT NULL,
    captured bigint NOT NULL,
    CHECK (captured <= amount)
) WITH (fillfactor = 85);

CREATE TABLE idempotency_key (
    subject     text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    status      smallint NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, key)
);

CREATE TABLE audit_entry (
    entry   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record  uuid NOT NULL,
    version bigint NOT NULL,
    header  bytea NOT NULL,
    hash    bytea NOT NULL,
    UNIQUE (record, version)
);

CREATE TABLE outbox (
    item       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record     uuid NOT NULL,
    version    bigint NOT NULL,
    kind       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- name: fill
-- The same payments as the other contenders have.
INSERT INTO payment SELECT id, 'open', 1, sha256(id::text::bytea), 1000000000000, 0 FROM unnest($1::uuid[]) AS id
