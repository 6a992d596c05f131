-- What witnesses have signed beside the log's own checkpoints.

-- name: leads_witnessing
-- Be the one that asks witnesses, for as long as this connection lasts; false while another one is.
SELECT pg_try_advisory_lock(hashtext('avow.witnesses'))

-- name: keep_cosignature
-- Keep what a witness signed.
SELECT avow.keep_cosignature($1, $2, $3, $4)

-- name: cosigned_size
-- The largest checkpoint of a log that a witness has signed; 0 for none.
SELECT coalesce(max(size), 0) FROM avow.cosignature WHERE epoch = $1 AND key = $2

-- name: cosignatures
-- The lines that witnesses signed a checkpoint with, and the keys that they are kept under.
SELECT line, key FROM avow.cosignature WHERE epoch = $1 AND size = $2 ORDER BY key

-- name: most_witnessed
-- Of the first witnessed checkpoints over a leaf, the first of those that the most witnesses stand for.
SELECT c.epoch, c.size, c.root, c.note, c.at
FROM (
    SELECT epoch, size, count(*) AS witnesses FROM avow.cosignature
    WHERE epoch = $1 AND size > $2 GROUP BY epoch, size ORDER BY size LIMIT 10) w
JOIN avow.checkpoint c ON c.epoch = w.epoch AND c.size = w.size
ORDER BY w.witnesses DESC, c.size LIMIT 1

-- name: newest_witnessed
-- Of the last witnessed checkpoints of a log, the last of those that the most witnesses stand for.
SELECT c.epoch, c.size, c.root, c.note, c.at
FROM (
    SELECT epoch, size, count(*) AS witnesses FROM avow.cosignature
    WHERE epoch = $1 GROUP BY epoch, size ORDER BY size DESC LIMIT 10) w
JOIN avow.checkpoint c ON c.epoch = w.epoch AND c.size = w.size
ORDER BY w.witnesses DESC, c.size DESC LIMIT 1
