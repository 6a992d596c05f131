SELECT lean.capture_many(ARRAY(SELECT lean.id_of(1 + floor(random() * :records)::bigint) FROM generate_series(1, :batch)), 1, :queue);
