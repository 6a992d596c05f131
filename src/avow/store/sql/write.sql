-- How the write path calls its functions.

-- name: commit
-- Commit one command, by itself.
SELECT * FROM avow.commit($1, $2::jsonb, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb)

-- name: lock
-- Lock what a decision will rest on, inside a transaction.
SELECT avow.lock_records($1, $2::jsonb)

-- name: forget_keys
-- Forget some of the answers that are past their time.
SELECT avow.forget_keys($1)
