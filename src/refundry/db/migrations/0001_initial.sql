-- Accounts, keys, orders with their cells, charges, refunds, events.
-- Every table that belongs to an account leads with (account_id, live), and what belongs to an
-- order names it, so that the schema can be spread by account over a distributed PostgreSQL.

CREATE TABLE accounts (
    id                  text PRIMARY KEY,
    name                text NOT NULL UNIQUE,
    created_at          timestamptz NOT NULL,
    -- How far test mode's clock of this account was moved.
    test_clock_shift    interval NOT NULL DEFAULT '0'
);

-- People named by `refundry init`; the dashboard's users grow out of these rows.
CREATE TABLE administrators (
    account_id          text NOT NULL REFERENCES accounts,
    email               text NOT NULL,
    invited_at          timestamptz NOT NULL,
    PRIMARY KEY (account_id, email)
);

CREATE TABLE api_keys (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('secret', 'public', 'restricted')),
    name                text NOT NULL,
    secret_hash         bytea NOT NULL UNIQUE CHECK (octet_length(secret_hash) = 32),
    -- Only the sandbox's own test key can be shown again, so only its text is kept, encrypted.
    sealed_secret       bytea,
    permissions         jsonb NOT NULL DEFAULT '{}',
    api_version         text NOT NULL,
    item_amount_basis   text NOT NULL DEFAULT 'line' CHECK (item_amount_basis IN ('line', 'unit')),
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz,
    PRIMARY KEY (account_id, live, id)
);

-- An account has one secret and one public key per mode that does not end.
CREATE UNIQUE INDEX api_keys_standing ON api_keys (account_id, live, kind)
 WHERE kind <> 'restricted' AND expires_at IS NULL;

CREATE FUNCTION cells_sum(cells bigint[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(sum(cell), 0)::bigint FROM unnest(cells) AS cell);

CREATE TABLE orders (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    version             integer NOT NULL CHECK (version > 0),
    event_sequence      bigint NOT NULL CHECK (event_sequence >= 0),
    last_event_at       timestamptz,
    currency            char(3) NOT NULL,
    exponent            smallint NOT NULL CHECK (exponent BETWEEN 0 AND 4),
    state               text NOT NULL CHECK (state IN ('pending_payment', 'in_review', 'accepted',
                            'blocked', 'cancelled', 'fulfilled', 'complete', 'dispute', 'returned')),
    previous_state      text CHECK ((previous_state IS NOT NULL) = (state = 'dispute')),
    pending_payment_at  timestamptz,
    in_review_at        timestamptz,
    accepted_at         timestamptz,
    blocked_at          timestamptz,
    cancelled_at        timestamptz,
    fulfilled_at        timestamptz,
    complete_at         timestamptz,
    dispute_at          timestamptz,
    returned_at         timestamptz,
    fraud_state         text CHECK (fraud_state IN ('review_opened', 'blocked', 'passed')),
    fraud_review_opened_at timestamptz,
    fraud_blocked_at    timestamptz,
    fraud_passed_at     timestamptz,
    total_minor         bigint NOT NULL CHECK (total_minor >= 0),
    captured_minor      bigint NOT NULL DEFAULT 0,
    cancelled_minor     bigint NOT NULL DEFAULT 0,
    refunded_minor      bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    invoice_id          text,
    upstream_id         text,
    customer_id         text,
    checkout_id         text,
    application_id      text,
    email               text,
    locale              text,
    browser_ip          text,
    customer_type       text,
    request_to_be_forgotten boolean NOT NULL DEFAULT false,
    session_id          text NOT NULL,
    client_secret       text NOT NULL,
    -- What is only passed through, as JSON text: jsonb would lose the order of the keys.
    details             text NOT NULL DEFAULT '{}',
    metadata            text NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, live, id),
    CHECK (captured_minor >= 0 AND cancelled_minor >= 0
           AND captured_minor + cancelled_minor <= total_minor)
) WITH (fillfactor = 80);

CREATE INDEX orders_newest ON orders (account_id, live, created_at, seq);
CREATE UNIQUE INDEX orders_invoice ON orders (account_id, live, invoice_id)
 WHERE invoice_id IS NOT NULL;
CREATE INDEX orders_upstream ON orders (account_id, live, upstream_id)
 WHERE upstream_id IS NOT NULL;

-- Cells stand in the order product, tax, shipping, shippingTax, duty, importerTax, fees, feesTax.
CREATE TABLE order_lines (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    position            smallint NOT NULL CHECK (position >= 0),
    id                  text NOT NULL,
    sku_id              text,
    quantity            integer NOT NULL CHECK (quantity >= 1),
    ordered             bigint[] NOT NULL,
    captured            bigint[] NOT NULL,
    cancelled           bigint[] NOT NULL,
    processing          bigint[] NOT NULL,
    held                bigint[] NOT NULL,
    refunded            bigint[] NOT NULL,
    fulfilled_units     integer NOT NULL CHECK (fulfilled_units >= 0),
    cancelled_units     integer NOT NULL CHECK (cancelled_units >= 0),
    captured_units      integer NOT NULL CHECK (captured_units BETWEEN 0 AND fulfilled_units),
    state               text NOT NULL CHECK (state IN ('created', 'fulfilled', 'paid', 'cancelled',
                            'blocked', 'returned')),
    state_times         text NOT NULL DEFAULT '{}',
    details             text NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, live, order_id, position),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id) REFERENCES orders,
    CHECK (fulfilled_units + cancelled_units <= quantity),
    CONSTRAINT eight_cells CHECK (
        cardinality(ordered) = 8 AND cardinality(captured) = 8 AND cardinality(cancelled) = 8
        AND cardinality(processing) = 8 AND cardinality(held) = 8 AND cardinality(refunded) = 8
        AND array_position(ordered || captured || cancelled || processing || held || refunded,
                           NULL) IS NULL),
    CONSTRAINT no_cell_below_zero CHECK (
        0 <= ALL (ordered) AND 0 <= ALL (captured) AND 0 <= ALL (cancelled)
        AND 0 <= ALL (processing) AND 0 <= ALL (held) AND 0 <= ALL (refunded)),
    CONSTRAINT no_cell_above_captured CHECK (
        held[1] + refunded[1] <= captured[1] AND held[2] + refunded[2] <= captured[2]
        AND held[3] + refunded[3] <= captured[3] AND held[4] + refunded[4] <= captured[4]
        AND held[5] + refunded[5] <= captured[5] AND held[6] + refunded[6] <= captured[6]
        AND held[7] + refunded[7] <= captured[7] AND held[8] + refunded[8] <= captured[8]),
    CONSTRAINT no_cell_above_ordered CHECK (
        captured[1] + cancelled[1] + processing[1] <= ordered[1]
        AND captured[2] + cancelled[2] + processing[2] <= ordered[2]
        AND captured[3] + cancelled[3] + processing[3] <= ordered[3]
        AND captured[4] + cancelled[4] + processing[4] <= ordered[4]
        AND captured[5] + cancelled[5] + processing[5] <= ordered[5]
        AND captured[6] + cancelled[6] + processing[6] <= ordered[6]
        AND captured[7] + cancelled[7] + processing[7] <= ordered[7]
        AND captured[8] + cancelled[8] + processing[8] <= ordered[8])
) WITH (fillfactor = 80);

CREATE INDEX order_lines_sku ON order_lines (account_id, live, sku_id) WHERE sku_id IS NOT NULL;

CREATE TABLE charges (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    position            smallint NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    state               text NOT NULL CHECK (state IN ('pending', 'capturable', 'processing',
                            'complete', 'cancelled', 'failed')),
    type                text NOT NULL,
    source_id           text NOT NULL,
    source_type         text NOT NULL,
    -- The source: what is shown of it, what names it at the processor, what the sandbox does.
    source_details      text NOT NULL DEFAULT '{}',
    processor_reference text,
    trigger             text,
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    UNIQUE (account_id, live, order_id, position),
    FOREIGN KEY (account_id, live, order_id) REFERENCES orders
);

CREATE INDEX charges_newest ON charges (account_id, live, created_at, seq);
CREATE INDEX charges_source ON charges (account_id, live, source_id);

CREATE TABLE fulfillments (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    items               text NOT NULL,
    sku_ids             text[] NOT NULL,
    operation_ids       text[] NOT NULL,
    tracking_company    text,
    tracking_number     text,
    details             text NOT NULL DEFAULT '{}',
    metadata            text NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id) REFERENCES orders
);

CREATE INDEX fulfillments_newest ON fulfillments (account_id, live, created_at, seq);

-- Captures, cancels, authorisations and charge-level refunds. The id is the processor's
-- idempotency key. share_lines and shares: what the operation moves in the cells, eight for each
-- named line; NULL for a refund record of a Refund, whose own shares are the journal.
CREATE TABLE charge_operations (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    charge_id           text NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('authorize', 'capture', 'cancel', 'refund')),
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    state               text NOT NULL CHECK (state IN ('pending', 'pending_information', 'complete',
                            'failed')),
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    fulfillment_id      text,
    entry               smallint NOT NULL DEFAULT 0,
    units               integer NOT NULL DEFAULT 0,
    share_lines         smallint[],
    shares              bigint[],
    failure_code        text,
    failure_message     text,
    failure_reason      text,
    processor_reference text,
    -- The processor is asked when due_at has come, on the account's clock of that mode. A worker
    -- that asks holds the row until leased_until, in real time.
    due_at              timestamptz,
    leased_until        timestamptz,
    attempts            integer NOT NULL DEFAULT 0,
    first_attempt_at    timestamptz,
    last_error          text,
    attention_since     timestamptz,
    note                text,
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id, charge_id) REFERENCES charges
        (account_id, live, order_id, id),
    CONSTRAINT shares_add_up CHECK (
        (share_lines IS NULL) = (shares IS NULL)
        AND (shares IS NULL OR (cells_sum(shares) = amount_minor
             AND cardinality(shares) = 8 * cardinality(share_lines) AND 0 <= ALL (shares)))),
    CONSTRAINT failed_says_why CHECK ((state = 'failed') = (failure_reason IS NOT NULL)),
    CONSTRAINT ended_is_not_due CHECK (due_at IS NULL OR state = 'pending')
) WITH (fillfactor = 80);

-- A processor knows an operation by its id alone.
CREATE INDEX charge_operations_by_id ON charge_operations (id);
CREATE INDEX charge_operations_due ON charge_operations (due_at) WHERE due_at IS NOT NULL;

-- share_lines and shares: which cell gave how much; refunded_shares: what was paid out of it.
CREATE TABLE refunds (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    currency            char(3) NOT NULL,
    exponent            smallint NOT NULL,
    type                text CHECK (type IN ('shipping', 'duty', 'tax', 'importer_tax', 'fees')),
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    refunded_minor      bigint NOT NULL DEFAULT 0,
    elements            text,
    sku_ids             text[] NOT NULL DEFAULT '{}',
    state               text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending',
                            'pending_information', 'succeeded', 'failed', 'expired')),
    reason              text,
    failure_reason      text,
    metadata            text,
    invoice_id          text,
    share_lines         smallint[] NOT NULL,
    shares              bigint[] NOT NULL,
    refunded_shares     bigint[],
    submit_due_at       timestamptz,
    token_hash          bytea,
    sealed_token        bytea,
    token_expires_at    timestamptz,
    attention_since     timestamptz,
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id) REFERENCES orders,
    CONSTRAINT shares_add_up CHECK (
        cells_sum(shares) = amount_minor
        AND cardinality(shares) = 8 * cardinality(share_lines) AND 0 <= ALL (shares)),
    CONSTRAINT refunded_shares_add_up CHECK (
        (refunded_shares IS NULL AND refunded_minor = 0)
        OR (cells_sum(refunded_shares) = refunded_minor AND 0 <= ALL (refunded_shares)
            AND cardinality(refunded_shares) = cardinality(shares))),
    CONSTRAINT refunded_within_amount CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT refunded_only_in_success CHECK ((state = 'succeeded') = (refunded_minor > 0)),
    CONSTRAINT failure_says_why CHECK (state NOT IN ('failed', 'expired')
                                       OR failure_reason IS NOT NULL),
    CONSTRAINT token_while_waiting CHECK ((state = 'pending_information')
                                          = (token_expires_at IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX refunds_newest ON refunds (account_id, live, created_at, seq);
CREATE INDEX refunds_submit_due ON refunds (submit_due_at) WHERE submit_due_at IS NOT NULL;
CREATE INDEX refunds_token_due ON refunds (token_expires_at) WHERE token_expires_at IS NOT NULL;
CREATE UNIQUE INDEX refunds_token ON refunds (account_id, live, token_hash)
 WHERE token_hash IS NOT NULL;

-- What each charge-level record carries of each refund; several refunds share one record when
-- they are submitted together.
CREATE TABLE refund_parts (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    refund_id           text NOT NULL,
    operation_id        text NOT NULL,
    charge_id           text NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    -- Whether the record has not ended yet.
    open                boolean NOT NULL,
    PRIMARY KEY (account_id, live, order_id, refund_id, operation_id),
    FOREIGN KEY (account_id, live, order_id, refund_id) REFERENCES refunds
        (account_id, live, order_id, id),
    FOREIGN KEY (account_id, live, order_id, operation_id) REFERENCES charge_operations
        (account_id, live, order_id, id)
);

CREATE UNIQUE INDEX refund_parts_one_open ON refund_parts
    (account_id, live, order_id, refund_id, charge_id) WHERE open;
CREATE INDEX refund_parts_operation ON refund_parts (account_id, live, order_id, operation_id);

-- Written with the change that they tell of. object and previous are JSON text: the order of
-- their keys is part of the contract. sealed_token: a secret that the text has a gap for.
CREATE TABLE events (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    type                text NOT NULL,
    order_id            text NOT NULL,
    order_sequence      bigint NOT NULL,
    object              text NOT NULL,
    previous            text,
    sealed_token        bytea,
    webhook_ids         text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, live, id),
    UNIQUE (account_id, live, order_id, order_sequence)
);

CREATE INDEX events_newest ON events (account_id, live, created_at, seq);
CREATE INDEX events_by_type ON events (account_id, live, type, created_at, seq);

CREATE TABLE idempotency_keys (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    method              text NOT NULL,
    path                text NOT NULL,
    key                 text NOT NULL,
    body_hash           bytea NOT NULL,
    -- Who runs the request: only the holder of this id may store its answer.
    owner               text NOT NULL,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz NOT NULL,
    status              smallint,
    answer              bytea,
    sealed              boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, live, method, path, key)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- What processors told us; the id is theirs. The account is not known before the operation is.
CREATE TABLE processor_notifications (
    connector           text NOT NULL,
    id                  text NOT NULL,
    received_at         timestamptz NOT NULL,
    body                text NOT NULL,
    state               text NOT NULL CHECK (state IN ('waiting', 'applied', 'ignored',
                            'unmatched')),
    due_at              timestamptz,
    PRIMARY KEY (connector, id),
    CHECK ((due_at IS NOT NULL) = (state = 'waiting'))
);

CREATE INDEX processor_notifications_due ON processor_notifications (due_at)
 WHERE due_at IS NOT NULL;

CREATE TABLE workers (
    id                  text PRIMARY KEY,
    started_at          timestamptz NOT NULL,
    seen_at             timestamptz NOT NULL
);

-- One row each: facts about this database as a whole.
CREATE TABLE facts (
    name                text PRIMARY KEY,
    value               text NOT NULL
);

-- Reads like the architecture's table of shares: one row for each cell that gave something.
CREATE VIEW refund_shares AS
SELECT r.account_id, r.live, r.order_id, r.id AS refund_id, r.state,
       r.share_lines[(c.place - 1) / 8 + 1] AS line_position,
       (ARRAY['product', 'tax', 'shipping', 'shippingTax', 'duty', 'importerTax', 'fees',
              'feesTax'])[(c.place - 1) % 8 + 1] AS component,
       c.share AS share_minor,
       coalesce(r.refunded_shares[c.place], 0) AS refunded_minor
  FROM refunds r, unnest(r.shares) WITH ORDINALITY AS c (share, place)
 WHERE c.share > 0;
