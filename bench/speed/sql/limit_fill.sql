-- As many payments as the run has records.
INSERT INTO lean.payment SELECT lean.id_of(n), 'open', 1, sha256(lean.id_of(n)::text::bytea), 1000000000000, 0 FROM generate_series(1, $1::bigint) AS n;
