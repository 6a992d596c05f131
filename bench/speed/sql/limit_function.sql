\set n random(1, :records)
SELECT lean.capture(gen_random_uuid(), '\x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', lean.id_of(:n), 1, :queue);
