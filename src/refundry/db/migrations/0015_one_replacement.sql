-- concurrently
-- Of a refund that failed and those in its place at most one has not failed.

CREATE UNIQUE INDEX CONCURRENTLY refunds_one_replacement ON refunds (account_id, live, replaces)
 WHERE replaces IS NOT NULL AND state NOT IN ('failed', 'expired');
