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
