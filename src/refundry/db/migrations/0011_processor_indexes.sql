-- concurrently
-- What is due to be looked up, and what a processor names by its own references.

CREATE INDEX CONCURRENTLY charge_operations_check_due ON charge_operations (check_due_at)
 WHERE check_due_at IS NOT NULL;
CREATE INDEX CONCURRENTLY charge_operations_reference ON charge_operations
    (account_id, live, gateway_id, processor_reference)
 WHERE gateway_id IS NOT NULL AND processor_reference IS NOT NULL;
CREATE INDEX CONCURRENTLY charges_reference ON charges (account_id, live, processor_reference)
 WHERE processor_reference IS NOT NULL;

ALTER TABLE charge_operations VALIDATE CONSTRAINT operation_of_gateway;
ALTER TABLE charge_operations VALIDATE CONSTRAINT checks_are_of_gateways;
ALTER TABLE charge_operations VALIDATE CONSTRAINT ended_is_not_checked;
ALTER TABLE charge_operations VALIDATE CONSTRAINT parked_is_not_due;
