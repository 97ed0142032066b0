-- What waits for a person may be looked up when a person says so, and goes on waiting until the
-- processor's answer agrees with what was asked. It is never asked for by itself, as before.

ALTER TABLE charge_operations
    DROP CONSTRAINT parked_is_not_due,
    ADD CONSTRAINT parked_is_not_due CHECK (parked IS NULL OR due_at IS NULL) NOT VALID;
