-- Bulk refunds and approvals.

-- Files of refunds: what was uploaded, what the check said of each line, and what became of it.
-- docs/decisions/0031-bulk-refunds-line-by-line.md tells why a line is its own idempotency key.

CREATE TABLE bulk_runs (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    name                text NOT NULL,
    -- Of the file's bytes: the same file is the same run, whoever sends it again and when.
    digest              bytea NOT NULL CHECK (octet_length(digest) = 32),
    head                text[] NOT NULL,
    with_duplicates     boolean NOT NULL,
    checked_at          timestamptz NOT NULL,
    state               text NOT NULL CHECK (state IN ('checked', 'running', 'stopped', 'finished')),
    -- Who uploaded it, then who confirmed it: the refunds are made in this name.
    actor_kind          text NOT NULL CHECK (actor_kind IN ('user', 'command')),
    actor_id            text CHECK ((actor_id IS NOT NULL) = (actor_kind = 'user')),
    actor_name          text NOT NULL,
    started_at          timestamptz,
    finished_at         timestamptz,
    -- Which process makes the lines, and until when others leave them to it. In real time.
    runner              text,
    leased_until        timestamptz,
    PRIMARY KEY (account_id, live, id),
    UNIQUE (account_id, live, digest),
    CHECK ((started_at IS NULL) = (state = 'checked')),
    CHECK ((finished_at IS NOT NULL) = (state = 'finished'))
);

CREATE INDEX bulk_runs_newest ON bulk_runs (account_id, live, created_at, seq);
CREATE INDEX bulk_runs_running ON bulk_runs (started_at) WHERE state = 'running';

CREATE TABLE bulk_lines (
    account_id          text NOT NULL,
    live                boolean NOT NULL,
    run_id              text NOT NULL,
    -- As a text editor counts the lines of the file.
    number              integer NOT NULL CHECK (number > 1),
    cells               text[] NOT NULL,
    order_id            text,
    -- The body that POST /refunds would be sent; NULL where the line makes none.
    body                text,
    state               text NOT NULL CHECK (state IN ('ready', 'duplicate', 'refused', 'made',
                            'failed')),
    amount_minor        bigint CHECK (amount_minor > 0),
    currency            char(3),
    exponent            smallint,
    remark              text NOT NULL,
    refund_id           text,
    PRIMARY KEY (account_id, live, run_id, number),
    FOREIGN KEY (account_id, live, run_id) REFERENCES bulk_runs ON DELETE CASCADE,
    CHECK ((state = 'made') = (refund_id IS NOT NULL)),
    CHECK (state = 'refused' OR (body IS NOT NULL AND amount_minor IS NOT NULL
           AND currency IS NOT NULL AND exponent IS NOT NULL))
);

CREATE INDEX bulk_lines_ready ON bulk_lines (account_id, live, run_id, number)
 WHERE state = 'ready';

-- Above which amounts a refund waits for somebody else's approval; without rows, none does.
-- docs/decisions/0032-approvals.md tells the rest.
CREATE TABLE approval_limits (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    -- A role of users, or `key` for the API keys that are so marked.
    role                text NOT NULL CHECK (role IN ('administrator', 'customer_service', 'key')),
    currency            char(3) NOT NULL,
    -- NULL: any amount.
    per_refund_minor    bigint CHECK (per_refund_minor >= 0),
    per_day_minor       bigint CHECK (per_day_minor >= 0),
    PRIMARY KEY (account_id, live, role, currency),
    CHECK (per_refund_minor IS NOT NULL OR per_day_minor IS NOT NULL)
);

-- What was refunded on a day without anybody's approval, by whom limits apply to.
CREATE TABLE approval_spending (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    requester_id        text NOT NULL,
    currency            char(3) NOT NULL,
    day                 date NOT NULL,
    spent_minor         bigint NOT NULL CHECK (spent_minor >= 0),
    PRIMARY KEY (account_id, live, requester_id, currency, day)
);

-- Requests that wait, or waited, for an approval.
CREATE TABLE refund_drafts (
    account_id          text NOT NULL REFERENCES accounts,
    live                boolean NOT NULL,
    id                  text NOT NULL,
    seq                 bigint GENERATED ALWAYS AS IDENTITY,
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    requester_kind      text NOT NULL CHECK (requester_kind IN ('user', 'key')),
    requester_id        text NOT NULL,
    requester_name      text NOT NULL,
    order_id            text NOT NULL,
    -- The exact request, and its hash: who asks for the same again finds the same draft.
    request             text NOT NULL,
    digest              bytea NOT NULL CHECK (octet_length(digest) = 32),
    amount_minor        bigint NOT NULL CHECK (amount_minor > 0),
    currency            char(3) NOT NULL,
    exponent            smallint NOT NULL,
    state               text NOT NULL CHECK (state IN ('waiting', 'approved', 'declined')),
    decided_at          timestamptz,
    decider_id          text,
    decider_name        text,
    note                text NOT NULL DEFAULT '',
    refund_id           text,
    PRIMARY KEY (account_id, live, id),
    CHECK (expires_at > created_at),
    CONSTRAINT drafts_are_decided_by_somebody CHECK (
        (state = 'waiting') = (decided_at IS NULL AND decider_id IS NULL)),
    CONSTRAINT drafts_are_decided_by_others CHECK (decider_id <> requester_id),
    CONSTRAINT drafts_approved_have_a_refund CHECK ((state = 'approved') = (refund_id IS NOT NULL))
);

CREATE INDEX refund_drafts_newest ON refund_drafts (account_id, live, created_at, seq);
CREATE INDEX refund_drafts_same ON refund_drafts (account_id, live, requester_id, digest)
 WHERE state = 'waiting';
CREATE INDEX refund_drafts_waiting ON refund_drafts (expires_at) WHERE state = 'waiting';

ALTER TABLE api_keys ADD COLUMN needs_approval boolean NOT NULL DEFAULT false;
