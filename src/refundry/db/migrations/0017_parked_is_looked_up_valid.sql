-- concurrently
ALTER TABLE charge_operations VALIDATE CONSTRAINT parked_is_not_due;
