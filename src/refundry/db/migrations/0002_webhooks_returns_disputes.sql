-- Webhooks with their deliveries, returns, disputes with their chargebacks and sales transactions.

-- Whether webhooks may ask for expanded events.
ALTER TABLE accounts ADD COLUMN expanded_events boolean NOT NULL DEFAULT false;

-- Units of a line that are in accepted returns; refunds made by returns that are still open.
ALTER TABLE order_lines ADD COLUMN returned_units integer NOT NULL DEFAULT 0;
UPDATE order_lines SET returned_units = fulfilled_units WHERE state = 'returned';
ALTER TABLE order_lines ADD CONSTRAINT returned_within_fulfilled
      CHECK (returned_units BETWEEN 0 AND fulfilled_units);
ALTER TABLE orders ADD COLUMN open_return_refunds integer NOT NULL DEFAULT 0
      CHECK (open_return_refunds >= 0);

-- Lines are found by their subscription. One that is longer than an index takes stays out of it.
ALTER TABLE order_lines ADD COLUMN IF NOT EXISTS subscription_id text;
UPDATE order_lines
   SET subscription_id = details::json -> 'subscriptionInfo' ->> 'subscriptionId'
 WHERE json_typeof(details::json -> 'subscriptionInfo' -> 'subscriptionId') = 'string'
   AND char_length(details::json -> 'subscriptionInfo' ->> 'subscriptionId') <= 255;
CREATE INDEX IF NOT EXISTS order_lines_subscription ON order_lines (account_id, live, subscription_id)
 WHERE subscription_id IS NOT NULL;

-- An array's NULL is no zero: no check on a sum would see it.
ALTER TABLE refunds
      DROP CONSTRAINT shares_add_up,
      ADD CONSTRAINT shares_add_up CHECK (
        cells_sum(shares) = amount_minor
        AND cardinality(shares) = 8 * cardinality(share_lines) AND 0 <= ALL (shares)
        AND array_position(shares, NULL) IS NULL),
      DROP CONSTRAINT refunded_shares_add_up,
      ADD CONSTRAINT refunded_shares_add_up CHECK (
        (refunded_shares IS NULL AND refunded_minor = 0)
        OR (cells_sum(refunded_shares) = refunded_minor AND 0 <= ALL (refunded_shares)
            AND array_position(refunded_shares, NULL) IS NULL
            AND cardinality(refunded_shares) = cardinality(shares)));
CREATE INDEX IF NOT EXISTS refunds_attention ON refunds (attention_since) WHERE attention_since IS NOT NULL;

-- A chargeback is a complete refund record of a dispute. What it took beyond the free balance is
-- owed: its shares grow and owed_minor shrinks as money comes free.
ALTER TABLE charge_operations
      ADD COLUMN dispute_id text,
      ADD COLUMN owed_minor bigint NOT NULL DEFAULT 0,
      DROP CONSTRAINT shares_add_up,
      ADD CONSTRAINT shares_add_up CHECK (
        (share_lines IS NULL) = (shares IS NULL)
        AND (shares IS NULL OR (cells_sum(shares) + owed_minor = amount_minor
             AND cardinality(shares) = 8 * cardinality(share_lines) AND 0 <= ALL (shares)
             AND array_position(shares, NULL) IS NULL))),
      ADD CONSTRAINT only_chargebacks_owe CHECK (
        owed_minor >= 0 AND (dispute_id IS NOT NULL OR owed_minor = 0)),
      ADD CONSTRAINT chargeback_is_complete CHECK (
        dispute_id IS NULL OR (kind = 'refund' AND state = 'complete' AND shares IS NOT NULL));

CREATE TABLE returns (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    state               text NOT NULL CHECK (state IN ('created', 'accepted')),
    reason              text,
    location            text,
    metadata            text NOT NULL DEFAULT '{}',
    -- Units per acceptance request, JSON text: each of them becomes one refund.
    acceptances         text NOT NULL DEFAULT '[]',
    refund_ids          text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id) REFERENCES orders
);

CREATE INDEX returns_newest ON returns (account_id, live, created_at, seq);

CREATE TABLE return_items (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    return_id           text NOT NULL,
    place               smallint NOT NULL,
    line_position       smallint NOT NULL,
    sku_id              text,
    quantity            integer NOT NULL CHECK (quantity >= 1),
    accepted            integer NOT NULL DEFAULT 0 CHECK (accepted BETWEEN 0 AND quantity),
    -- What was refunded; NULL until the whole return is accepted.
    amount_minor        bigint CHECK (amount_minor >= 0),
    PRIMARY KEY (account_id, live, order_id, return_id, place),
    UNIQUE (account_id, live, order_id, return_id, line_position),
    FOREIGN KEY (account_id, live, order_id, return_id) REFERENCES returns
        (account_id, live, order_id, id),
    FOREIGN KEY (account_id, live, order_id, line_position) REFERENCES order_lines
        (account_id, live, order_id, position)
);

ALTER TABLE refunds ADD COLUMN return_id text,
      ADD FOREIGN KEY (account_id, live, order_id, return_id) REFERENCES returns
          (account_id, live, order_id, id);

CREATE TABLE disputes (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    charge_id           text NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor >= 0),
    reason              text,
    state               text NOT NULL CHECK (state IN ('open', 'won', 'lost')),
    resolved_at         timestamptz,
    chargeback_minor    bigint CHECK (chargeback_minor >= 0),
    fraud               boolean,
    sales_transaction_ids text[] NOT NULL DEFAULT '{}',
    processor_reference text,
    -- Whether the processor itself told of it: its references are then its own.
    heard               boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id, charge_id) REFERENCES charges
        (account_id, live, order_id, id),
    CONSTRAINT closed_has_a_time CHECK ((state = 'open') = (resolved_at IS NULL)),
    CONSTRAINT lost_says_how_much CHECK (
        (state = 'lost') = (chargeback_minor IS NOT NULL)
        AND (state = 'lost') = (fraud IS NOT NULL))
);

CREATE INDEX disputes_newest ON disputes (account_id, live, created_at, seq);
CREATE UNIQUE INDEX disputes_one_open ON disputes (account_id, live, order_id, charge_id)
 WHERE state = 'open';
-- A processor knows a dispute by its own reference, and a charge by its id, alone.
CREATE INDEX disputes_reference ON disputes (processor_reference)
 WHERE processor_reference IS NOT NULL;
CREATE INDEX charges_by_id ON charges (id);

ALTER TABLE charge_operations
  ADD FOREIGN KEY (account_id, live, order_id, dispute_id) REFERENCES disputes
      (account_id, live, order_id, id);

-- object is the resource as JSON text, as it was made: nothing of it changes later.
CREATE TABLE sales_transactions (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    order_id            text NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    dispute_id          text NOT NULL,
    type                text NOT NULL CHECK (type IN ('fraud_chargeback', 'non_fraud_chargeback')),
    currency            char(3) NOT NULL,
    exponent            smallint NOT NULL,
    amount_minor        bigint NOT NULL CHECK (amount_minor < 0),
    quantity            integer NOT NULL,
    order_upstream_id   text,
    sku_id              text,
    payment_type        text NOT NULL,
    object              text NOT NULL,
    PRIMARY KEY (account_id, live, order_id, id),
    UNIQUE (account_id, live, id),
    FOREIGN KEY (account_id, live, order_id, dispute_id) REFERENCES disputes
        (account_id, live, order_id, id)
);

CREATE INDEX sales_transactions_newest ON sales_transactions (account_id, live, created_at, seq);
CREATE INDEX sales_transactions_dispute ON sales_transactions
    (account_id, live, order_id, dispute_id);

-- sealed_...: encrypted, as they must be read again. The old token signs along until
-- old_token_until, on the clock of the webhook's mode, as all times but created_at's are.
CREATE TABLE webhooks (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    types               text[] NOT NULL CHECK (cardinality(types) > 0),
    expanded_types      text[] NOT NULL DEFAULT '{}',
    address             text NOT NULL,
    api_version         text NOT NULL,
    enabled             boolean NOT NULL,
    transport_type      text NOT NULL CHECK (transport_type IN ('HTTP', 'OAUTH')),
    user_name           text,
    sealed_password     bytea,
    token_end_point     text,
    client_id           text,
    sealed_client_secret bytea,
    grant_type          text CHECK (grant_type IN ('password', 'client_credentials')),
    sealed_token        bytea NOT NULL,
    sealed_old_token    bytea,
    old_token_until     timestamptz,
    last_success_at     timestamptz,
    failing_since       timestamptz,
    warned_at           timestamptz,
    disabled_at         timestamptz,
    disabled_reason     text,
    PRIMARY KEY (account_id, live, id),
    CONSTRAINT oauth_is_whole CHECK (
        (transport_type = 'OAUTH') = (token_end_point IS NOT NULL)
        AND (transport_type = 'OAUTH') = (client_id IS NOT NULL)
        AND (transport_type = 'OAUTH') = (sealed_client_secret IS NOT NULL)
        AND (transport_type = 'OAUTH') = (grant_type IS NOT NULL)),
    CONSTRAINT two_tokens_overlap CHECK ((sealed_old_token IS NULL) = (old_token_until IS NULL)),
    CONSTRAINT disabled_by_us_is_off CHECK (disabled_at IS NULL OR NOT enabled)
);

-- Which worker delivers for a webhook at present: the ten requests at once are counted there.
CREATE TABLE webhook_lanes (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    webhook_id          text NOT NULL,
    owner               text NOT NULL,
    leased_until        timestamptz NOT NULL,
    PRIMARY KEY (account_id, live, webhook_id)
);

-- One event for one webhook, written with the event; number: 0 for the delivery that the event
-- itself made, counted up for what people sent again. There is no foreign key to webhooks: it
-- would take a lock on one row in every refund of an account. due_at: on the clock of the mode.
CREATE TABLE deliveries (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    webhook_id          text NOT NULL,
    event_id            text NOT NULL,
    number              smallint NOT NULL DEFAULT 0,
    state               text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'succeeded',
                            'exhausted', 'dropped')),
    attempts            smallint NOT NULL DEFAULT 0,
    first_attempt_at    timestamptz,
    due_at              timestamptz,
    -- Sent again by a person: one attempt, whatever comes of it.
    single              boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, live, webhook_id, event_id, number),
    CONSTRAINT pending_is_due CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT attempts_have_a_first CHECK ((attempts > 0) = (first_attempt_at IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX deliveries_due ON deliveries (account_id, live, webhook_id, due_at)
 WHERE due_at IS NOT NULL;

-- status: of the answer, if there was one; error: what else happened; response: its first bytes.
CREATE TABLE attempts (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    webhook_id          text NOT NULL,
    event_id            text NOT NULL,
    number              smallint NOT NULL,
    attempt             smallint NOT NULL,
    started_at          timestamptz NOT NULL,
    duration_ms         integer NOT NULL,
    status              smallint,
    error               text,
    response            bytea,
    PRIMARY KEY (account_id, live, webhook_id, event_id, number, attempt),
    CONSTRAINT response_is_cut CHECK (octet_length(response) <= 4096)
);

CREATE INDEX attempts_newest ON attempts (account_id, live, webhook_id, started_at);

-- Mail to people, written with its cause, sent by a worker.
CREATE TABLE mails (
    id                  text PRIMARY KEY,
    account_id          text NOT NULL REFERENCES accounts,
    created_at          timestamptz NOT NULL,
    recipients          text[] NOT NULL,
    subject             text NOT NULL,
    body                text NOT NULL,
    attempts            smallint NOT NULL DEFAULT 0,
    due_at              timestamptz,
    sent_at             timestamptz
);

CREATE INDEX mails_due ON mails (due_at) WHERE due_at IS NOT NULL;
