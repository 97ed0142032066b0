-- What the settlement reports of processors tell of refunds and chargebacks, and what of ours is in
-- none. docs/decisions/0040-settlement-files.md tells why.

-- Which days the reports of a gateway tell of.
CREATE TABLE settlement_files (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    gateway_id          text NOT NULL,
    digest              bytea NOT NULL CHECK (octet_length(digest) = 32),
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    read_at             timestamptz NOT NULL,
    name                text NOT NULL,
    first_day           date NOT NULL,
    last_day            date NOT NULL,
    lines               integer NOT NULL CHECK (lines >= 0),
    PRIMARY KEY (account_id, live, gateway_id, digest),
    CONSTRAINT settlement_files_gateway FOREIGN KEY (account_id, live, gateway_id)
        REFERENCES gateways,
    CONSTRAINT first_day_is_first CHECK (first_day <= last_day)
);

-- identity: of the line at the processor, so that a line that is read again is the same one.
CREATE TABLE settlement_lines (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    gateway_id          text NOT NULL,
    identity            text NOT NULL CHECK (identity <> ''),
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    read_at             timestamptz NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('refund', 'refund_reversed', 'chargeback',
                            'chargeback_reversed')),
    reference           text,
    payments            text[] NOT NULL,
    operation_key       text,
    amount_minor        bigint NOT NULL CHECK (amount_minor >= 0),
    currency            text NOT NULL,
    fee_minor           bigint,
    fee_currency        text,
    payout              text,
    arn                 text,
    booked_on           date NOT NULL,
    -- settled: it agrees with our record; waiting: its dispute is open; extra: we have none;
    -- different: it contradicts ours.
    state               text NOT NULL CHECK (state IN ('settled', 'waiting', 'extra', 'different')),
    why                 text,
    order_id            text,
    operation_id        text,
    dispute_id          text,
    -- When a person took it off the list, and what they noted.
    dealt_at            timestamptz,
    note                text,
    PRIMARY KEY (account_id, live, gateway_id, identity),
    CONSTRAINT settlement_lines_seq UNIQUE (seq),
    CONSTRAINT settlement_lines_gateway FOREIGN KEY (account_id, live, gateway_id)
        REFERENCES gateways,
    CONSTRAINT settlement_lines_operation FOREIGN KEY (account_id, live, order_id, operation_id)
        REFERENCES charge_operations (account_id, live, order_id, id),
    CONSTRAINT settlement_lines_dispute FOREIGN KEY (account_id, live, order_id, dispute_id)
        REFERENCES disputes (account_id, live, order_id, id),
    CONSTRAINT extra_is_nobodys CHECK (
        (state = 'extra') = (operation_id IS NULL AND dispute_id IS NULL)
        AND (order_id IS NULL) = (operation_id IS NULL AND dispute_id IS NULL)),
    CONSTRAINT line_says_why CHECK ((state = 'settled') = (why IS NULL)),
    CONSTRAINT fee_has_a_currency CHECK ((fee_minor IS NULL) = (fee_currency IS NULL)),
    CONSTRAINT dealt_has_a_note CHECK ((dealt_at IS NULL) = (note IS NULL))
);

CREATE INDEX settlement_lines_open ON settlement_lines (account_id, live, gateway_id, seq)
 WHERE state <> 'settled' AND dealt_at IS NULL;
CREATE INDEX settlement_lines_of_operation ON settlement_lines (account_id, live, operation_id)
 WHERE operation_id IS NOT NULL;
CREATE INDEX settlement_lines_of_dispute ON settlement_lines (account_id, live, dispute_id)
 WHERE dispute_id IS NOT NULL;

-- Refunds that we have as settled in days that reports tell of, and that are in none.
CREATE TABLE settlement_missing (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    gateway_id          text NOT NULL,
    order_id            text NOT NULL,
    operation_id        text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    found_at            timestamptz NOT NULL,
    dealt_at            timestamptz,
    note                text,
    PRIMARY KEY (account_id, live, order_id, operation_id),
    CONSTRAINT settlement_missing_seq UNIQUE (seq),
    CONSTRAINT settlement_missing_gateway FOREIGN KEY (account_id, live, gateway_id)
        REFERENCES gateways,
    CONSTRAINT settlement_missing_operation FOREIGN KEY (account_id, live, order_id, operation_id)
        REFERENCES charge_operations (account_id, live, order_id, id),
    CONSTRAINT missing_dealt_has_a_note CHECK ((dealt_at IS NULL) = (note IS NULL))
);

CREATE INDEX settlement_missing_open ON settlement_missing (account_id, live, seq)
 WHERE dealt_at IS NULL;
