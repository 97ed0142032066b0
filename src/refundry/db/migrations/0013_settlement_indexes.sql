-- concurrently
-- Records by the day they ended on, in an index that an update of a row need not touch; what waits
-- for a person.

CREATE INDEX CONCURRENTLY charge_operations_ended ON charge_operations
 USING brin (updated_at) WITH (autosummarize = on);
CREATE INDEX CONCURRENTLY charge_operations_parked ON charge_operations (account_id, live, seq)
 WHERE parked IS NOT NULL;
CREATE INDEX CONCURRENTLY processor_notifications_unmatched ON processor_notifications
    (connector, received_at) WHERE state = 'unmatched';
