-- What a shopper gives so that a refund can be paid to a bank account. The details wait, encrypted,
-- on the records that carry them to the processor, and no longer than those are pending.

ALTER TABLE charge_operations ADD COLUMN sealed_bank_details bytea;
ALTER TABLE charge_operations ADD CONSTRAINT bank_details_while_pending
    CHECK (sealed_bank_details IS NULL OR (state = 'pending' AND kind = 'refund'));

-- Who comes with a token says nothing else, not even whose refund it is.
CREATE INDEX refunds_by_token ON refunds (token_hash) WHERE token_hash IS NOT NULL;

-- How often a token was used lately, and how often what came with it was refused; kept here so that
-- every process counts the same. Times are on the clock of the refund's mode.
CREATE TABLE token_uses (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    refund_id           text NOT NULL,
    minute_began_at     timestamptz NOT NULL,
    requests            integer NOT NULL CHECK (requests > 0),
    refused             integer NOT NULL DEFAULT 0 CHECK (refused >= 0),
    locked_until        timestamptz,
    PRIMARY KEY (account_id, live, order_id, refund_id),
    FOREIGN KEY (account_id, live, order_id, refund_id) REFERENCES refunds
        (account_id, live, order_id, id)
);
