-- What waits for a person may be looked up when a person says so, and goes on waiting until the
-- processor's answer agrees with what was asked. It is never asked for by itself, as before.
-- A refund that fails after it was paid stays in the month that it was paid in.

ALTER TABLE charge_operations
    DROP CONSTRAINT parked_is_not_due,
    ADD CONSTRAINT parked_is_not_due CHECK (parked IS NULL OR due_at IS NULL) NOT VALID,
    -- When it had settled, of a refund that failed afterwards.
    ADD COLUMN settled_before_failure_at timestamptz,
    ADD CONSTRAINT failed_after_it_settled CHECK (settled_before_failure_at IS NULL
                                                  OR (kind = 'refund' AND state = 'failed'))
        NOT VALID;
