-- Refunds that replace a failed one, and payouts that a processor told of after they had failed.
-- docs/decisions/0041-another-way-replaces.md tells why. Whether the rows that are there fit is looked
-- at by the next file, beside the service.

ALTER TABLE refunds
    -- The first refund of its chain; the failed ones behind it name the same.
    ADD COLUMN replaces text,
    -- How it is paid, if not through the payment that it pays back.
    ADD COLUMN way text,
    ADD CONSTRAINT refunds_way_check CHECK (way IN ('bank_transfer', 'store_credit', 'by_hand'))
        NOT VALID,
    ADD CONSTRAINT another_way_replaces CHECK (way IS NULL OR replaces IS NOT NULL) NOT VALID,
    ADD CONSTRAINT replaces_another CHECK (replaces <> id) NOT VALID,
    ADD CONSTRAINT refunds_replaces FOREIGN KEY (account_id, live, order_id, replaces)
        REFERENCES refunds (account_id, live, order_id, id) NOT VALID;

ALTER TABLE charge_operations
    -- As its refund's: no gateway is asked for it.
    ADD COLUMN way text,
    -- Since when its processor says that it paid what the books have as failed.
    ADD COLUMN paid_after_all_at timestamptz,
    -- What a person did about it.
    ADD COLUMN paid_after_all_note text,
    ADD CONSTRAINT another_way_has_no_gateway CHECK (way IS NULL OR gateway_id IS NULL) NOT VALID,
    ADD CONSTRAINT paid_after_all_had_failed CHECK (paid_after_all_at IS NULL
                                                    OR (kind = 'refund' AND state = 'failed'))
        NOT VALID,
    ADD CONSTRAINT paid_after_all_was_told CHECK (paid_after_all_note IS NULL
                                                  OR paid_after_all_at IS NOT NULL)
        NOT VALID;
