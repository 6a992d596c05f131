-- How the write path calls its functions.

-- name: commit
-- Commit commands of one tenant, together and by themselves.
SELECT avow.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)

-- name: commit_private
-- The same, with what stands behind the digests of private values.
SELECT avow.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)

-- name: lock
-- Lock what a decision will rest on, inside a transaction.
SELECT avow.lock_records($1, $2, $3, $4)

-- name: forget_keys
-- Forget some of the answers that are past their time.
SELECT avow.forget_keys($1)
