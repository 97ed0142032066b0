-- Accounts at payment processors, and what is known of each operation there.
-- docs/decisions/0039-gateways.md tells why an operation keeps the gateway it was asked through.

CREATE TABLE gateways (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    -- Also the end of the address to which the processor sends its notifications.
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    name                text NOT NULL CHECK (name <> ''),
    processor           text NOT NULL CHECK (processor <> ''),
    -- The sources whose payments it takes; none: of all that no other gateway names.
    source_types        text[] NOT NULL,
    -- Where its API is, if not where the processor's SDK looks for it.
    address             text,
    sealed_credentials  bytea NOT NULL,
    -- Takes no new payments from then on; what it was asked for is followed to its end.
    closed_at           timestamptz,
    -- Until when the processor's refunds were listed.
    listed_until        timestamptz,
    -- A worker that lists them has the row until then, in real time.
    leased_until        timestamptz,
    PRIMARY KEY (account_id, live, id),
    CONSTRAINT gateways_id UNIQUE (id),
    CONSTRAINT gateways_name UNIQUE (account_id, live, name)
);

ALTER TABLE charge_operations
    ADD COLUMN gateway_id text,
    -- What the processor said beside the outcome, in its own words.
    ADD COLUMN processor_code text,
    ADD COLUMN processor_message text,
    ADD COLUMN arn text,
    -- When it is looked up next, on the account's clock of its mode.
    ADD COLUMN check_due_at timestamptz,
    ADD COLUMN checked_at timestamptz,
    ADD COLUMN checks integer NOT NULL DEFAULT 0,
    ADD COLUMN check_found text,
    -- What the processor says does not agree with what was asked: a person decides.
    ADD COLUMN parked text,
    -- Whether the rows that are there fit is looked at by the next file, beside the service.
    ADD CONSTRAINT operation_of_gateway FOREIGN KEY (account_id, live, gateway_id)
        REFERENCES gateways NOT VALID,
    ADD CONSTRAINT checks_are_of_gateways
        CHECK (check_due_at IS NULL OR gateway_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT ended_is_not_checked
        CHECK (check_due_at IS NULL OR state = 'pending') NOT VALID,
    ADD CONSTRAINT parked_is_not_due
        CHECK (parked IS NULL OR (due_at IS NULL AND check_due_at IS NULL)) NOT VALID;

-- Refunds that somebody made at the processor itself. reference: the processor's id of it.
CREATE TABLE external_refunds (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    gateway_id          text NOT NULL,
    reference           text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    seen_at             timestamptz NOT NULL,
    made_at             timestamptz NOT NULL,
    payment             text NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    currency            text NOT NULL,
    -- adopted: a refund of ours tells of it; conflict: a person decides; ignored: somebody did.
    state               text NOT NULL CHECK (state IN ('adopted', 'conflict', 'ignored')),
    why                 text,
    order_id            text,
    refund_id           text,
    PRIMARY KEY (account_id, live, gateway_id, reference),
    FOREIGN KEY (account_id, live, gateway_id) REFERENCES gateways,
    CONSTRAINT external_refunds_refund FOREIGN KEY (account_id, live, order_id, refund_id)
        REFERENCES refunds (account_id, live, order_id, id),
    CONSTRAINT adopted_has_a_refund CHECK ((state = 'adopted') = (refund_id IS NOT NULL)),
    CONSTRAINT conflict_says_why CHECK ((state = 'adopted') = (why IS NULL))
);

CREATE INDEX external_refunds_conflicts ON external_refunds (account_id, live, seq)
 WHERE state = 'conflict';
