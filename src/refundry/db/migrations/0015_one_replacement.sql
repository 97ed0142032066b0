-- concurrently
-- Of a refund that failed and those in its place at most one has not failed.

CREATE UNIQUE INDEX CONCURRENTLY refunds_one_replacement ON refunds (account_id, live, replaces)
 WHERE replaces IS NOT NULL AND state NOT IN ('failed', 'expired');

ALTER TABLE refunds VALIDATE CONSTRAINT refunds_way_check;
ALTER TABLE refunds VALIDATE CONSTRAINT another_way_replaces;
ALTER TABLE refunds VALIDATE CONSTRAINT replaces_another;
ALTER TABLE refunds VALIDATE CONSTRAINT refunds_replaces;
ALTER TABLE charge_operations VALIDATE CONSTRAINT another_way_has_no_gateway;
ALTER TABLE charge_operations VALIDATE CONSTRAINT paid_after_all_had_failed;
ALTER TABLE charge_operations VALIDATE CONSTRAINT paid_after_all_was_told;
