-- concurrently
-- There are few of them: the export of a month looks for those that were paid or failed in it.

CREATE INDEX CONCURRENTLY charge_operations_failed_later
    ON charge_operations (account_id, live, settled_before_failure_at)
 WHERE settled_before_failure_at IS NOT NULL;

ALTER TABLE charge_operations VALIDATE CONSTRAINT parked_is_not_due;
ALTER TABLE charge_operations VALIDATE CONSTRAINT failed_after_it_settled;
