-- What is kept for a time only. Owned by the owner role; the application asks for it every few minutes.

-- Forget answers to idempotency keys that are older than @{days} days, at most p_rows_max of them. Returns how many.
-- The oldest first, by the index on their time: any other way reads the whole table, and without sorting there is
-- none. Two servers that forget at once take the rows in the same order, so that the second finds them gone.
CREATE OR REPLACE FUNCTION avow.forget_keys(p_rows_max int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_sort = off
    AS $function$
DECLARE
    -- A constant of the statement, so that the index on the time serves.
    expired   timestamptz := avow.now() - interval '@{days} days';
    forgotten int;
BEGIN
    PERFORM set_config('avow.scope', 'all', true);
    DELETE FROM avow.idempotency i WHERE i.ctid = ANY (ARRAY(
        SELECT k.ctid FROM avow.idempotency k WHERE k.at < expired ORDER BY k.at LIMIT p_rows_max));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    PERFORM set_config('avow.scope', '', true);
    RETURN forgotten;
END
$function$;

REVOKE ALL ON FUNCTION avow.forget_keys(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION avow.forget_keys(int) TO @{application};
